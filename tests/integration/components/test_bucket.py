"""ImageExampleGen on a bucket: as from a folder, with a server that dies meanwhile, and with objects that vanish."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from crackgate.storage import object_store
from crackgate.storage.cache import listed_once
from crackgate.storage.object_store import StorageError
from tests.helpers.ingested import example_gen, split_by_path
from tests.helpers.s3_server import BUCKET, s3_server

if TYPE_CHECKING:
    from conftest import Bench

PREFIX = "site A/photographs"
URL = f"s3://{BUCKET}/{PREFIX}"


def test_a_bucket_is_ingested_as_its_folder_is_though_the_server_dies_once(
    photographs: Path, new_bench: "Callable[..., Bench]", monkeypatch: pytest.MonkeyPatch
) -> None:
    local = new_bench()
    local.run(example_gen(photographs))
    files = {f"{PREFIX}/{file.relative_to(photographs)}": file.read_bytes() for file in photographs.rglob("*.jpg")}
    with s3_server(files, dies_after=15) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bench = new_bench()
        with server.revived():
            bench.run(example_gen(URL))
        account = bench.json_output("ImageExampleGen", "account")
        assert account["found"] == account["ingested"] == len(files) and not account["rejected"]
        assert split_by_path(bench.examples()) == split_by_path(local.examples())

        bench.run(example_gen(URL))
        assert bench.states("ImageExampleGen") == ["COMPLETE", "CACHED"]

        store = boto3.client("s3")
        gone, other = sorted(files)[:2]
        store.put_object(Bucket=BUCKET, Key=other, Body=files[other] + b"\0")
        with listed_once():
            # This lists the bucket, as a run's first checks do.
            component = example_gen(URL)
            store.delete_object(Bucket=BUCKET, Key=gone)
            bench.run(component)
        assert bench.states("ImageExampleGen")[-1] == "COMPLETE"
        account = bench.json_output("ImageExampleGen", "account")
        (row,) = account["rejected"]
        assert row["path"] == gone.removeprefix(f"{PREFIX}/") and "deleted after it was listed" in row["detail"]
        assert account["ingested"] == len(files) - 1


def test_a_server_that_stays_away_ends_the_run_with_the_object_and_loses_none(
    photographs: Path, new_bench: "Callable[..., Bench]", monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{PREFIX}/{file.relative_to(photographs)}": file.read_bytes() for file in photographs.rglob("*.jpg")}
    monkeypatch.setattr(object_store, "_SECONDS_TO_RETURN", 2)
    with s3_server(files, dies_after=15) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bench = new_bench()
        with pytest.raises(StorageError, match=rf"cannot read '{URL}/\w+/\d+\.jpg', tried for \d+ s: .* run again"):
            bench.run(example_gen(URL))
        assert bench.states("ImageExampleGen") == ["FAILED"]
