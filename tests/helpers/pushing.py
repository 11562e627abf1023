"""Releases of a toy model, also by processes of their own that may be killed. The files are none that TensorFlow reads.

`start` forks from a server that has the library loaded, so that a process costs no second.
"""

import fcntl
import multiprocessing
import os
import resource
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.model_files import CARD_FILE, MODEL_VERSION_FILE
from crackgate.releases import (
    Lineage,
    Release,
    ServingDirectoryError,
    State,
    approve,
    change,
    list_versions,
    production_number,
    publish,
    roll_back,
    verify,
)

RELEASE = Release(
    lineage=Lineage(pipeline="crackgate-0", run_id="20261122-160000", execution=7, data_fingerprint="f1"),
    metrics=[MetricValue(metric="accuracy", value=0.99), MetricValue(metric="recall", label="Positive", value=None)],
    config_digest="c1",
)


def write_model(folder: Path, seed: int = 0, size: int = 1000) -> Path:
    """Writes files named as those of a SavedModel, the largest of `size` bytes."""
    contents = {
        "saved_model.pb": bytes([seed % 256]) * size,
        "fingerprint.pb": b"print",
        "variables/variables.index": b"index",
        "variables/variables.data-00000-of-00001": bytes([1 + seed % 255]) * size,
        str(MODEL_VERSION_FILE): b"unreleased\n",
        str(CARD_FILE): b'{"classes": ["Negative", "Positive"]}',
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "assets" / "empty").mkdir()
    return folder


def start(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Begins `work` in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crackgate.releases"])
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def finish(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def push_for_ever(model: Path, serving: Path) -> None:
    """Until it is killed: releases, and now and then withdraws and reinstates, stages and approves."""
    while True:
        publish(model, serving, RELEASE)
        newest = publish(model, serving, RELEASE)
        roll_back(serving, None, "me@here", "a test")
        roll_back(serving, int(newest.name), "me@here", "a test")
        approve(serving, stage(model, serving), "me@here", "a test")


def push_some(model: Path, serving: Path, result: Path, count: int, host: str) -> None:
    """Releases `count` versions and writes their numbers down.

    With a `host`, it is as if on a machine of this name, whose locks reach no other machine.
    """
    if host:
        fcntl.flock = lambda *_: None  # type: ignore[assignment]
        change._this_kernel = lambda: host
    numbers = [publish(model, serving, RELEASE).name for _ in range(count)]
    result.write_text("\n".join(numbers))


def push_with_small_files(model: Path, serving: Path, result: Path, limit: int) -> None:
    """Releases where no file may become larger than `limit` bytes, and writes down what went wrong."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    _write_down_what_goes_wrong(model, serving, result)


def push_as_somebody(model: Path, serving: Path, result: Path) -> None:
    """Releases as a user who is not the superuser, to whom everything is allowed."""
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    _write_down_what_goes_wrong(model, serving, result)


def _write_down_what_goes_wrong(model: Path, serving: Path, result: Path) -> None:
    try:
        publish(model, serving, RELEASE)
    except ServingDirectoryError as error:
        result.write_text(str(error))


def push(model: Path, serving: Path, count: int = 1) -> list[int]:
    return [int(publish(model, serving, RELEASE).name) for _ in range(count)]


def stage(model: Path, serving: Path) -> int:
    """Stages a version as if it had been compared with the one in production."""
    return int(publish(model, serving, RELEASE, staged_against=production_number(serving)).name)


def states(serving: Path) -> dict[int, State]:
    return {version.number: version.state for version in list_versions(serving)}


def assert_all_intact(serving: Path) -> None:
    for version in list_versions(serving):
        assert verify(version.folder, version=version.number).problems == []
