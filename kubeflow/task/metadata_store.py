"""The ML Metadata store on a MySQL or MariaDB server.

A mounted Secret or the environment describes it, so no pipeline, parameter or log holds the password.
"""

import logging
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig, SqliteMetadataSourceConfig

log = logging.getLogger("crackgate")

HOST, PORT, DATABASE, USER, PASSWORD = "MLMD_HOST", "MLMD_PORT", "MLMD_DATABASE", "MLMD_USER", "MLMD_PASSWORD"
# Files of the TLS connection, and the ciphers that it may use.
SSL_CA, SSL_CERT, SSL_KEY, SSL_CIPHER = "MLMD_SSL_CA", "MLMD_SSL_CERT", "MLMD_SSL_KEY", "MLMD_SSL_CIPHER"
# "true": a server whose certificate is not that of MLMD_HOST is refused.
SSL_VERIFY = "MLMD_SSL_VERIFY_SERVER_CERT"
# An SQLite file instead, for `crackgate kubeflow run-local`.
SQLITE_FILE = "MLMD_SQLITE_FILE"

REQUIRED = (HOST, DATABASE, USER, PASSWORD)
OPTIONAL = (PORT, SSL_CA, SSL_CERT, SSL_KEY, SSL_CIPHER, SSL_VERIFY)

# Folder of the Secret that kubeflow.mlmd_secret names, one file for each key. KFP 2.14 requires every environment
# variable to exist in the Secret, so its tasks would never start.
SECRET_FOLDER = Path("/etc/crackgate/mlmd")

DEFAULT_PORT = 3306
# Seconds that a server may take to come back, or other tasks to create the tables.
PATIENCE = 120.0


class MetadataStoreError(Exception):
    """The metadata store is described badly, or cannot be reached."""


def store_settings(secret: Path = SECRET_FOLDER) -> dict[str, str]:
    """Reads the mounted Secret, or else the environment, where a Service named "mlmd" sets an `MLMD_PORT`."""
    files = {name: secret / name for name in (*REQUIRED, *OPTIONAL)}
    mounted = {name: file.read_text(encoding="utf-8").rstrip("\n") for name, file in files.items() if file.is_file()}
    return mounted or dict(os.environ)


def connection_config(settings: Mapping[str, str]) -> ConnectionConfig:
    """Turns settings into a connection; raises MetadataStoreError for a missing or bad one.

    They are `MLMD_HOST`, `MLMD_DATABASE`, `MLMD_USER`, `MLMD_PASSWORD`, and optionally `MLMD_PORT` (3306) and
    `MLMD_SSL_...`. `MLMD_SQLITE_FILE` alone replaces them all.
    """
    if settings.get(SQLITE_FILE):
        sqlite = SqliteMetadataSourceConfig(
            filename_uri=settings[SQLITE_FILE], connection_mode=SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        )
        return ConnectionConfig(sqlite=sqlite)
    missing = [name for name in REQUIRED if not settings.get(name)]
    if missing:
        raise MetadataStoreError(
            f"no metadata store: neither the environment nor {str(SECRET_FOLDER)!r} has {', '.join(missing)}. The task "
            f"needs {', '.join(REQUIRED)}, and may have {', '.join(OPTIONAL)}; on Kubernetes they are keys of the "
            "Secret that kubeflow.mlmd_secret names, in the namespace of the run"
        )
    config = ConnectionConfig()
    config.mysql.host, config.mysql.database = settings[HOST], settings[DATABASE]
    config.mysql.user, config.mysql.password = settings[USER], settings[PASSWORD]
    config.mysql.port = _port(settings.get(PORT, ""))
    # The database exists already: this user needs rights on its tables only.
    config.mysql.skip_db_creation = True
    ssl = {"ca": SSL_CA, "cert": SSL_CERT, "key": SSL_KEY, "cipher": SSL_CIPHER}
    for option, name in ssl.items():
        if settings.get(name):
            setattr(config.mysql.ssl_options, option, settings[name])
    if settings.get(SSL_VERIFY):
        config.mysql.ssl_options.verify_server_cert = _boolean(settings[SSL_VERIFY])
    return config


def open_store(config: ConnectionConfig, patience: float = PATIENCE) -> mlmd.MetadataStore:
    """Connects, and creates the tables of an empty database.

    It retries for `patience` seconds while the server is absent or another task creates the tables, and then raises
    MetadataStoreError.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return mlmd.MetadataStore(config)
        except (RuntimeError, mlmd.errors.StatusError) as error:
            # The message ends with the whole SQL statement.
            cause = str(error).partition(" query:  ")[0]
        if time.monotonic() >= deadline:
            raise MetadataStoreError(
                f"the metadata store {describe(config)} could not be opened within {patience:g} s: {cause}. Check that "
                "the server runs and can be reached, that the database exists, and that user and password are right "
                "(MLMD's client knows the authentication mysql_native_password)"
            )
        log.info("the metadata store %s is not ready: %s", describe(config), cause)
        time.sleep(random.uniform(0.2, 2.0))


def describe(config: ConnectionConfig) -> str:
    """Names the store, without user and password."""
    if config.HasField("sqlite"):
        return repr(config.sqlite.filename_uri)
    return f"{config.mysql.database!r} on {config.mysql.host}:{config.mysql.port}"


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise MetadataStoreError(f"{PORT}: received {text!r}, allowed is a number from 1 to 65535")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise MetadataStoreError(f"{SSL_VERIFY}: received {text!r}, allowed are 'true' and 'false'")
    return text.lower() == "true"
