"""The metadata store's address, from a mounted Secret or the environment."""

import re
from pathlib import Path

import pytest

from kubeflow.task.metadata_store import MetadataStoreError, connection_config, describe, open_store, store_settings

COMPLETE = {"MLMD_HOST": "db", "MLMD_DATABASE": "mlmd", "MLMD_USER": "me", "MLMD_PASSWORD": "secret-word"}


def test_the_environment_says_where_the_store_is() -> None:
    mysql = connection_config(
        {**COMPLETE, "MLMD_PORT": "3307", "MLMD_SSL_CA": "/tls/ca.pem", "MLMD_SSL_VERIFY_SERVER_CERT": "true"}
    ).mysql
    assert (mysql.host, mysql.port, mysql.database, mysql.user, mysql.password) == (
        "db",
        3307,
        "mlmd",
        "me",
        "secret-word",
    )
    assert mysql.ssl_options.ca == "/tls/ca.pem" and mysql.ssl_options.verify_server_cert
    assert not mysql.ssl_options.HasField("key")


def test_the_port_is_that_of_mysql_unless_it_is_said() -> None:
    assert connection_config(COMPLETE).mysql.port == 3306
    assert connection_config({**COMPLETE, "MLMD_PORT": ""}).mysql.port == 3306


def test_a_mounted_secret_says_where_the_store_is_and_the_environment_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Kubernetes leaves in the environment of pods beside a Service named "mlmd".
    monkeypatch.setenv("MLMD_PORT", "tcp://10.0.0.1:3306")
    monkeypatch.setenv("MLMD_HOST", "of-the-environment")
    assert store_settings(tmp_path / "none")["MLMD_HOST"] == "of-the-environment"
    for name, value in {**COMPLETE, "MLMD_SSL_CA": "/etc/crackgate/mlmd/ca.pem\n"}.items():
        (tmp_path / name).write_text(value)
    mysql = connection_config(store_settings(tmp_path)).mysql
    assert (mysql.host, mysql.port, mysql.password) == ("db", 3306, "secret-word")
    assert mysql.ssl_options.ca == "/etc/crackgate/mlmd/ca.pem"


@pytest.mark.parametrize("name", COMPLETE)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(MetadataStoreError, match=rf"neither the environment nor '/etc/crackgate/mlmd' has {name}\."):
        connection_config({**COMPLETE, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [("MLMD_PORT", "0"), ("MLMD_PORT", "x"), ("MLMD_PORT", "65536"), ("MLMD_SSL_VERIFY_SERVER_CERT", "1")],
)
def test_what_is_wrong_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(MetadataStoreError, match=rf"{name}: received '{value}', allowed"):
        connection_config({**COMPLETE, name: value})


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    config = connection_config({**COMPLETE, "MLMD_HOST": "127.0.0.1", "MLMD_PORT": "1"})
    with pytest.raises(MetadataStoreError) as refused:
        open_store(config, patience=0)
    assert re.search(r"'mlmd' on 127\.0\.0\.1:1 could not be opened within 0 s", str(refused.value))
    assert "secret-word" not in str(refused.value) + describe(config)


def test_an_sqlite_file_serves_one_machine(tmp_path) -> None:
    config = connection_config({"MLMD_SQLITE_FILE": str(tmp_path / "metadata.sqlite")})
    assert open_store(config).get_contexts() == []
