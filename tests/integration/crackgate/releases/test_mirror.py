"""Released versions in a bucket and on other machines: whole, verified, and gone where they were withdrawn."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.releases import ServingDirectoryError, production_number, publish, roll_back, verify
from crackgate.releases.mirror import download, upload
from crackgate.releases.signatures import RECORDED_KEY_FILE, Signer
from crackgate_cli.main import app
from tests.helpers.pushing import RELEASE, write_model
from tests.helpers.s3_server import BUCKET, s3_server

KEY = Ed25519PrivateKey.generate()
COMMAND = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "mirror"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket of a real server, which the environment names."""
    with pytest.MonkeyPatch.context() as patch, s3_server({}) as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield boto3.resource("s3").Bucket(BUCKET)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A prefix of its own."""
    return f"s3://{BUCKET}/models {tmp_path.name}"


@pytest.fixture
def new_version(tmp_path: Path) -> Callable[[], int]:
    """Releases one more model into `serving`, signed."""
    seeds = iter(range(1, 100))

    def release() -> int:
        seed = next(seeds)
        model = write_model(tmp_path / f"model {seed}", seed)
        return int(publish(model, tmp_path / "serving", RELEASE, Signer(KEY)).name)

    return release


def mirror(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["mirror", *map(str, arguments)])


def numbers_in(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


@pytest.mark.usefixtures("bucket")
def test_a_mirror_follows_releases_and_withdrawals(url: str, new_version: Callable[[], int], tmp_path: Path) -> None:
    serving, there = tmp_path / "serving", tmp_path / "there"
    first, second = new_version(), new_version()
    there.mkdir()
    (there / RECORDED_KEY_FILE).write_bytes(
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    sent = mirror("--to", url, "--serving", serving)
    assert sent.exit_code == 0, sent.output
    assert sent.output.splitlines() == [f"added version {second}", f"added version {first}"], "what is asked for first"
    taken = mirror("--from", url, "--serving", there)
    assert taken.exit_code == 0 and taken.output == sent.output
    for number in (first, second):
        assert verify(there / str(number), KEY.public_key(), number).intact
    for command in (("--to", url, "--serving", serving), ("--from", url, "--serving", there)):
        assert mirror(*command).output == "both places have the same versions: nothing was changed\n"

    roll_back(serving, None, "a test", "it misses cracks")
    third = new_version()
    for command in (("--to", url, "--serving", serving), ("--from", url, "--serving", there)):
        assert f"removed version {second}" in mirror(*command).output
    assert numbers_in(there) == [first, third] and production_number(there) == third

    # A mirror would take its versions back.
    for change in (
        lambda: roll_back(there, None, "a test", "to see"),
        lambda: publish(tmp_path / "model 1", there, RELEASE),
    ):
        with pytest.raises(ServingDirectoryError, match="is a mirror of a bucket, which takes other changes back"):
            change()


def test_a_version_that_was_altered_on_its_way_is_refused_and_the_others_are_not(
    bucket: Any, url: str, new_version: Callable[[], int], tmp_path: Path
) -> None:
    first, second, third = new_version(), new_version(), new_version()
    upload(tmp_path / "serving", url)
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    bucket.put_object(Key=f"{prefix}/{second}/saved_model.pb", Body=b"other")
    bucket.put_object(Key=f"{prefix}/{third}/fingerprint.pb", Body=b"x" * 10_000)
    taken = mirror("--from", url, "--serving", tmp_path / "there")
    assert taken.exit_code == 1 and numbers_in(tmp_path / "there") == [first]
    assert f"version {second} was not taken: saved_model.pb has 5 bytes, and 1,000 in the manifest" in taken.output
    assert f"version {third} was not taken: 'fingerprint.pb' is larger than it may be" in taken.output

    # Somebody without a key names what no folder can hold, and forgets an object.
    content = bucket.Object(f"{prefix}/{first}/{MANIFEST_FILE}").get()["Body"].read()
    for number, old, new in (
        (first + 1000, b"fingerprint.pb", b"saved_model.pb/x"),
        (first + 2000, b"fingerprint.pb", b"gone"),
    ):
        for each in list(bucket.objects.filter(Prefix=f"{prefix}/{first}/")):
            copy = {"Bucket": BUCKET, "Key": each.key}
            bucket.Object(each.key.replace(f"/{first}/", f"/{number}/").replace("fingerprint.pb", new.decode())).copy(
                copy
            )
        if new == b"gone":
            bucket.Object(f"{prefix}/{number}/gone").delete()
        bucket.put_object(Key=f"{prefix}/{number}/{MANIFEST_FILE}", Body=content.replace(old, new))
    bucket.put_object(Key=f"{prefix}/{2**63}/{MANIFEST_FILE}", Body=content)
    problems = "\n".join(download(url, tmp_path / "there").problems)
    assert "which no folder can hold beside the others" in problems and "'gone', which manifest.json names" in problems
    assert numbers_in(tmp_path / "there") == [first]

    other = Ed25519PrivateKey.generate().public_key()
    refused = download(url, tmp_path / "elsewhere", other)
    assert not refused.added and len(refused.problems) == 5
    assert all("the signature is by another key" in problem for problem in refused.problems)

    (tmp_path / "serving" / str(new_version()) / "fingerprint.pb").write_bytes(b"other")
    sent = mirror("--to", url, "--serving", tmp_path / "serving")
    assert sent.exit_code == 1 and "was not sent: fingerprint.pb was altered" in sent.output.replace("\n", " ")


def test_no_place_that_holds_something_else_is_changed(
    bucket: Any, url: str, new_version: Callable[[], int], tmp_path: Path
) -> None:
    number = new_version()
    serving, other = tmp_path / "serving", tmp_path / "other"
    own = int(publish(write_model(tmp_path / "model"), other, RELEASE).name)
    prefix = url.removeprefix(f"s3://{BUCKET}/")

    def refused(said: str, *arguments: object) -> None:
        before = sorted((each.key, each.e_tag) for each in bucket.objects.all())
        result = mirror(*arguments)
        assert result.exit_code == 2 and said in result.output, result.output
        assert sorted((each.key, each.e_tag) for each in bucket.objects.all()) == before

    refused("is no mirror: fill it by", "--from", url, "--serving", tmp_path / "there")
    bucket.put_object(Key=f"{prefix}/photograph.jpg", Body=b"1")
    refused("is no mirror, and", "--to", url, "--serving", serving)
    bucket.Object(f"{prefix}/photograph.jpg").delete()

    # Nothing is claimed for a serving directory before its first release.
    (tmp_path / "empty").mkdir()
    assert mirror("--to", url, "--serving", tmp_path / "empty").exit_code == 0
    assert mirror("--to", url, "--serving", serving).exit_code == 0
    bucket.put_object(Key=f"{prefix}/README", Body=b"ours")
    refused("the mirror of another serving directory", "--to", url, "--serving", other)
    # As where a volume is not mounted: nothing says that the versions were withdrawn.
    refused("the mirror of another serving directory", "--to", url, "--serving", tmp_path / "empty")
    # Nor does an id that is lost on both sides.
    whose = bucket.Object(f"{prefix}/.mirror-of").get()["Body"].read()
    for wrong, said in ((b"\n", "is empty"), (b"x" * 100, "cannot be read")):
        bucket.put_object(Key=f"{prefix}/.mirror-of", Body=wrong)
        refused(said, "--to", url, "--serving", tmp_path / "empty")
        refused(said, "--from", url, "--serving", tmp_path / "new")
    bucket.put_object(Key=f"{prefix}/.mirror-of", Body=whose)
    refused("has versions of its own", "--from", url, "--serving", other)
    refused("has versions of its own", "--from", url, "--serving", serving)
    assert numbers_in(other) == [own] and numbers_in(serving) == [number]
    assert mirror("--from", url, "--serving", tmp_path / "there").exit_code == 0
    refused("the mirror of something else", "--from", url_of_another(bucket, other), "--serving", tmp_path / "there")

    refused("give one of --to URL and --from URL", "--serving", serving)
    refused("give one of --to URL and --from URL", "--to", url, "--from", url, "--serving", serving)
    refused("a path; allowed are s3://", "--to", tmp_path / "there", "--serving", serving)
    refused("--from needs --serving", "--from", url)
    refused("there is no serving directory", "--to", url, "--serving", tmp_path / "none")


def url_of_another(bucket: Any, serving: Path) -> str:
    url = f"s3://{bucket.name}/another of {serving.parent.name}"
    assert mirror("--to", url, "--serving", serving).exit_code == 0
    return url


def test_a_killed_pass_shows_no_part_of_a_version_and_is_completed(
    bucket: Any, url: str, new_version: Callable[[], int], tmp_path: Path
) -> None:
    serving = tmp_path / "serving"
    numbers = sorted(new_version() for _ in range(8))
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    sender = subprocess.Popen([*COMMAND, "--to", url, "--serving", serving], stdout=subprocess.DEVNULL)
    while sum(1 for _ in bucket.objects.filter(Prefix=f"{prefix}/{numbers[-1]}/")) < 2:
        assert sender.poll() is None
        time.sleep(0.002)
    sender.kill()
    sender.wait()
    keys = {each.key for each in bucket.objects.filter(Prefix=f"{prefix}/")}
    for number in numbers:
        if f"{prefix}/{number}/{MANIFEST_FILE}" in keys:
            assert sum(key.startswith(f"{prefix}/{number}/") for key in keys) == 8
    assert f"{prefix}/{numbers[0]}/{MANIFEST_FILE}" not in keys, "it was killed before its end"
    assert not download(url, tmp_path / "there").problems
    assert upload(serving, url).added == [
        each for each in reversed(numbers) if each not in numbers_in(tmp_path / "there")
    ]
    assert not download(url, tmp_path / "there").problems
    assert numbers_in(tmp_path / "there") == numbers


def test_a_store_that_refuses_is_said_in_one_line(
    url: str, new_version: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_version()
    with s3_server({}, asks_who=True) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        refused = mirror("--to", url, "--serving", tmp_path / "serving")
        assert refused.exit_code == 1 and "check the credentials and their rights" in refused.output


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_is_said_in_one_line(new_version: Callable[[], int], tmp_path: Path) -> None:
    new_version()
    missing = mirror("--to", "s3://none/models", "--serving", tmp_path / "serving")
    assert missing.exit_code == 1 and "there is no bucket 'none'" in missing.output


@pytest.mark.usefixtures("bucket")
def test_with_every_it_goes_on_until_it_is_stopped(url: str, new_version: Callable[[], int], tmp_path: Path) -> None:
    there, log = tmp_path / "there", tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "--from", url, "--serving", there, "--every", "1"], stdout=output, stderr=output
        )
    try:
        _wait_for(lambda: "is no mirror" in log.read_text(), process)
        for _ in range(2):
            number = new_version()
            upload(tmp_path / "serving", url)
            _wait_for(lambda: f"added version {number}\n" in log.read_text(), process)  # noqa: B023
            assert production_number(there) == number
    finally:
        process.terminate()
    assert process.wait(10) == -signal.SIGTERM


def _wait_for(happened: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while not happened():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
