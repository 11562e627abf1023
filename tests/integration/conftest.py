"""Fixtures of several integration tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.asking import newest
from tests.helpers.service_process import Service, running_service
from tests.helpers.toy_release import export_toy, release

_LIMITS = ["--max-queue", "64", "--max-batch", "8", "--max-request-mib", "4", "--client-timeout", "3"]


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model, not released yet."""
    folder = tmp_path_factory.mktemp("toy") / "model"
    export_toy(folder)
    return folder


@pytest.fixture(scope="session")
def serving_dir(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A serving directory with one version."""
    folder = tmp_path_factory.mktemp("releases") / "serving"
    release(toy_model, folder)
    return folder


@pytest.fixture(scope="session")
def service(serving_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with narrow limits."""
    with running_service(
        tmp_path_factory.mktemp("service"), "--serving", str(serving_dir), "--grpc-port", "0", *_LIMITS
    ) as running:
        running.wait_until(ready=True, version=newest(serving_dir))
        yield running


@pytest.fixture(scope="session")
def empty_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that wants a token, and has no model to load."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "serving").mkdir()
    arguments = ["--serving", str(folder / "serving"), "--token-env", "TOKEN"]
    with running_service(folder, *arguments, TOKEN="0123456789abcdef") as running:
        yield running
