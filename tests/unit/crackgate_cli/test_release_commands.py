"""`crackgate versions`, `verify` and `rollback`, as people and programs call them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from PIL import Image
from typer.testing import CliRunner

import crackgate
from crackgate.releases import UntrustedVersionError, production_version, publish
from crackgate.releases.signatures import Signer
from crackgate_cli.main import app
from crackgate_cli.options import chosen_model
from serving.service.model_versions import RefusedVersionError, Source
from tests.helpers.pushing import RELEASE, stage, write_model

PROJECT = Path(__file__).resolve().parents[3]
FORBIDDEN = ("tensorflow", "tfx", "ml_metadata", "apache_beam")


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """Three versions in a workspace."""
    folder = tmp_path / "serving"
    for seed in range(3):
        publish(write_model(tmp_path / f"model {seed}", seed=seed), folder, RELEASE)
    return folder


@pytest.fixture
def numbers(serving: Path) -> list[str]:
    return sorted(path.name for path in serving.glob("[0-9]*"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for name in ("Negative", "Positive"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(folder / name / "1.png")
    return folder


def call(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


def say(*arguments: object, code: int) -> str:
    """The error, on one line."""
    return re.sub(r"\s+", " ", call(*arguments, code=code).stderr)


def answer(*arguments: object, code: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", code=code).stdout)


@pytest.mark.parametrize("columns", ["0", "1", "20", "60"])
def test_no_width_cuts_a_number_in_two(columns: str, serving: Path, numbers: list[str]) -> None:
    result = CliRunner().invoke(app, ["versions", "--workspace", str(serving.parent)], env={"COLUMNS": columns})
    assert result.exit_code == 0 and all(number in result.stdout for number in numbers)
    assert result.stdout.count("20261122-160000") == 3


def test_versions_are_listed_the_newest_first_with_what_befell_them(serving: Path, numbers: list[str]) -> None:
    here = ("--workspace", serving.parent)
    assert [row["version"] for row in answer("versions", *here)] == [int(number) for number in reversed(numbers)]
    done = answer("rollback", *here, "--reason", "missed cracks [in the rain]")
    assert done == {"in_production": int(numbers[1]), "withdrawn": [int(numbers[2])], "reinstated": False}
    rows = answer("versions", *here)
    assert [(row["state"], row["in_production"]) for row in rows] == [
        ("withdrawn", False),
        ("released", True),
        ("released", False),
    ]
    assert rows[0]["events"][0]["why"] == "missed cracks [in the rain]" and "@" in rows[0]["events"][0]["who"]
    assert [(value["metric"], value["value"]) for value in rows[0]["metrics"]] == [("accuracy", 0.99), ("recall", None)]
    assert not rows[0]["signed"]
    assert rows[0]["run_id"] == "20261122-160000" and rows[0]["bytes"] > 2000
    (serving / "1900000000").mkdir()
    text = call("versions", *here).stdout
    assert "released, in production" in text and "0.9900" in text and text.count("20261122-160000") == 3
    assert re.search(rf"{numbers[2]} was withdrawn on .* by .*@.*: missed cracks \[in the rain\]", text)
    assert "1900000000 is incomplete: " in text and "has no manifest.json" in text


def test_a_rollback_says_what_it_did(serving: Path, numbers: list[str]) -> None:
    here = ("--serving", serving)
    first, second, third = numbers
    assert call("rollback", *here, "--to", first).stdout.splitlines() == [
        f"withdrew version {second}",
        f"withdrew version {third}",
        f"version {first} is in production now",
    ]
    assert "in production already: nothing was changed" in call("rollback", *here, "--to", first).stdout
    assert call("rollback", *here, "--to", third).stdout == f"version {third} is in production now, reinstated\n"
    assert production_version(serving) == serving / third
    assert f"no complete version 5; the versions are: {first} (released)" in say("rollback", *here, "--to", 5, code=2)
    (serving / first / "fingerprint.pb").unlink()
    assert "no earlier version" in say("rollback", *here, code=2)
    (serving / second).mkdir()
    (serving / "withdrawn" / second / "fingerprint.pb").write_bytes(b"PRINT")
    assert "Nothing was changed" in say("rollback", *here, "--to", second, code=1)
    (serving / "withdrawn" / f"{second}.json").write_text("{")
    for command in ("rollback", "versions", "verify", f"approve {second}", f"reject {second}"):
        assert f"which says why version {second} was withdrawn" in say(*command.split(), *here, code=1)


def test_a_staged_version_is_approved_or_rejected(tmp_path: Path, serving: Path, numbers: list[str]) -> None:
    here = ("--workspace", tmp_path)
    first, second = (str(stage(write_model(tmp_path / f"staged {seed}", seed=seed), serving)) for seed in (7, 8))
    rows = answer("versions", *here)
    assert [(row["state"], row["in_production"], row["staged_against"]) for row in rows[:3]] == [
        ("staged", False, int(numbers[2])),
        ("staged", False, int(numbers[2])),
        ("released", True, None),
    ]
    text = call("versions", *here).stdout
    assert f"{second} waits for 'crackgate approve'; it was compared with version {numbers[2]}" in text
    assert chosen_model(tmp_path, Path("staged"), None) == serving / "staged" / second
    assert (
        chosen_model(tmp_path, Path("production"), None) == chosen_model(tmp_path, None, None) == serving / numbers[2]
    )
    assert call("approve", *here, second, "--reason", "[ok]").stdout == f"version {second} is in production now\n"
    assert call("approve", *here, second).stdout == f"version {second} is in production already: nothing was changed\n"
    assert "approved on" in call("versions", *here).stdout and ": [ok]" in call("versions", *here).stdout
    error = say("approve", *here, first, code=1)
    assert f"version {second} is in production now" in error and "by --force" in error
    done = answer("approve", *here, first, "--force")
    assert done == {"in_production": int(first), "withdrawn": [int(second)], "approved": True}
    (serving / first / "fingerprint.pb").unlink()
    third = str(stage(write_model(tmp_path / "third", seed=9), serving))
    assert call("reject", *here, third).stdout == f"version {third} is withdrawn now\n"
    assert call("reject", *here, third).stdout == f"version {third} is withdrawn already: nothing was changed\n"
    assert "was withdrawn" in say("approve", *here, third, code=2)
    assert "no version that waits for approval" in say("predict", tmp_path, *here, "--model", "staged", code=2)
    new = tmp_path / "new"
    waiting = stage(write_model(tmp_path / "waiting"), new / "serving")
    said = say("predict", tmp_path, "--workspace", new, code=2)
    assert f"no released model in '{new}/serving': 'crackgate approve {waiting}' puts the staged one" in said
    assert "no complete version 5" in say("reject", *here, 5, code=2)


def test_verify_names_what_differs_from_the_model_that_was_judged(serving: Path, numbers: list[str]) -> None:
    here = ("--workspace", serving.parent)
    text = call("verify", *here).stdout
    assert text.count("intact") == 3 and text.count("as judged, but assets/model_version.txt, which says") == 3
    (serving / numbers[0] / "saved_model.pb").write_bytes(b"other")
    rows = answer("verify", *here, code=1)
    assert [row["intact"] for row in rows] == [False, True, True]
    assert rows[0]["problems"] == ["saved_model.pb has 5 bytes, and 1,000 in the manifest"]
    assert rows[1]["differs_from_judged"] == ["assets/model_version.txt"] and rows[1]["files"] == 6
    text = call("verify", *here, numbers[0], code=1).stdout
    assert f"ALTERED version {numbers[0]}\n  saved_model.pb has 5 bytes" in text
    assert answer("verify", *here, numbers[1])[0]["version"] == int(numbers[1])
    call("rollback", *here)
    assert answer("verify", *here, numbers[2])[0]["intact"], "a withdrawn one, too"
    assert "has no manifest.json" in call("verify", "--model", serving.parent / "model 0", code=1).stdout


def test_a_version_is_used_under_its_own_number_or_under_none(
    tmp_path: Path, serving: Path, numbers: list[str], photographs: Path
) -> None:
    version, other = serving / numbers[1], tmp_path / "models" / "1"
    shutil.copytree(version, other)
    wrong = f"manifest.json is that of version {numbers[1]}, and this is version 1"
    output = ("--output", tmp_path / "out")
    uses = [
        ("predict", photographs),
        ("inspect", photographs, *output),
        ("export", "--to", "onnx", "--data", photographs, *output),
    ]
    for use in uses:
        said = say(*use, "--model", other, code=1)
        assert f"'{other}' is refused: {wrong}; name the folder {numbers[1]}, or by no number at all" in said
    assert wrong in say("gate", "--model", other, "--data", photographs, "--workspace", tmp_path, code=2)
    assert wrong in answer("verify", "--model", other, code=1)[0]["problems"]
    with pytest.raises(UntrustedVersionError, match=wrong):
        crackgate.load(other)
    with pytest.raises(RefusedVersionError, match=wrong):
        Source(other, is_one_version=True).check(other)

    for name in (numbers[1], "model", "007"):
        copy = shutil.copytree(version, tmp_path / "copies" / name)
        assert answer("verify", "--model", copy)[0]["intact"]
        assert chosen_model(tmp_path, copy, None) == copy
    link = tmp_path / "2"
    link.symlink_to(version)
    assert chosen_model(tmp_path, link, None) == link
    # A model that was never released states no number.
    never = (tmp_path / "model 0").rename(tmp_path / "3")
    assert chosen_model(tmp_path, never, None) == never


@pytest.mark.parametrize("created", ["yesterday", "0001-01-01T00:00:00+00:00", "\x1b[2J", 7])
def test_a_manifest_with_an_impossible_time_is_no_complete_one(
    created: object, serving: Path, numbers: list[str]
) -> None:
    file = serving / numbers[2] / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"created": created}))
    text = call("versions", "--serving", serving).stdout
    assert f"{numbers[2]} is incomplete: '{file}' is not as crackgate writes it: created: " in text
    assert production_version(serving) == serving / numbers[1]


@pytest.mark.parametrize("change", [{"when": "tomorrow"}, {"version": 5}], ids=["time", "version"])
def test_a_record_that_cannot_be_one_of_its_version_is_named(
    change: dict[str, object], serving: Path, numbers: list[str]
) -> None:
    event = {"state": "withdrawn", "when": "2026-12-01T00:00:00+00:00", "who": "ann", "why": "rain"}
    record = {"version": int(numbers[2]), "model_digest": "d", "events": [event]}
    (record if "version" in change else event).update(change)
    (serving / "withdrawn").mkdir()
    (serving / "withdrawn" / f"{numbers[2]}.json").write_text(json.dumps(record))
    assert f"which says why version {numbers[2]} was withdrawn" in say("versions", "--serving", serving, code=1)
    assert production_version(serving) == serving / numbers[2], "it withdraws nothing"


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000 + "b"], ids=["name", "path"])
def test_a_file_whose_name_no_file_can_have_is_missing(name: str, serving: Path, numbers: list[str]) -> None:
    file = serving / numbers[0] / "manifest.json"
    content = json.loads(file.read_text())
    content["files"][name] = {"bytes": 0, "sha256": "0" * 64}
    file.write_text(json.dumps(content))
    (row,) = answer("verify", "--serving", serving, numbers[0], code=1)
    assert f"{name} is missing" in row["problems"]


def test_leftovers_that_are_not_ours_stop_no_change(serving: Path, numbers: list[str]) -> None:
    workshop = serving / ".unfinished" / f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}-1-aa"
    workshop.mkdir(parents=True)
    (workshop / "moving").write_text("no number")
    assert f"version {numbers[1]} is in production now" in call("rollback", "--serving", serving).stdout
    (serving / ".lock").unlink()
    os.mkfifo(serving / ".lock")
    assert "cannot write to the serving directory" in say("rollback", "--serving", serving, code=1), "it does not wait"


def test_verify_with_a_key_takes_only_what_it_signed(tmp_path: Path, serving: Path, numbers: list[str]) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "release.pub"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signed = publish(write_model(tmp_path / "signed"), serving, RELEASE, Signer(key))
    with_key = ("verify", "--workspace", tmp_path, "--public-key", file)
    assert "signed by" in call(*with_key, signed.name).stdout
    assert "not signed: its manifest names no key" in call(*with_key, numbers[0], code=1).stdout
    (signed / "manifest.sig").unlink()
    assert "manifest.sig is missing" in call(*with_key, signed.name, code=1).stdout


def test_commands_that_use_a_model_want_the_signature_that_the_serving_directory_requires(
    tmp_path: Path, serving: Path, numbers: list[str], photographs: Path
) -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    files = [tmp_path / "release.pub", tmp_path / "another.pub"]
    for key, file in zip(keys, files, strict=True):
        file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    private = tmp_path / "release.key"
    private.write_bytes(keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    here, newest = ("--workspace", tmp_path), serving / numbers[2]
    uses = [
        ("predict", photographs, *here),
        ("inspect", photographs, *here, "--output", tmp_path / "out"),
        ("export", "--to", "onnx", "--data", photographs, *here, "--output", tmp_path / "out"),
    ]
    for recorded in (False, True):
        if recorded:
            shutil.copy(files[0], serving / "release.pub")
        for use in uses:
            said = say(*use, *([] if recorded else ["--public-key", files[0]]), code=1)
            source = f"'{serving / 'release.pub'}'" if recorded else "the given public key"
            assert f"'{newest}' is refused, since {source} requires a signature: the release is not signed" in said
    assert "the release is not signed" in say("rollback", *here, code=1)
    assert "the release is not signed" in say("predict", photographs, "--model", newest, code=1)
    data = ("--data", photographs, *here)
    assert "the release is not signed" in say("gate", "--model", newest, *data, code=2)
    assert "received no key, and every version must be signed by" in say("run", *data, code=2)
    assert "cannot read the public key" in say("run", *data, "--set", "release.public_key=nowhere", code=2)
    other = ("--set", f"release.public_key={files[1]}", "--set", f"release.signing_key={private}")
    assert "received the key" in say("run", *data, *other, code=2)
    (serving / "release.pub").write_text("no key")
    assert f"release.pub of '{serving}': " in say("run", *data, code=2)
    shutil.copy(files[0], serving / "release.pub")

    # A signed version is used, as far as these files can be: they are no SavedModel.
    publish(write_model(tmp_path / "signed"), serving, RELEASE, Signer(keys[0]))
    assert "no model that crackgate exported" in say("predict", photographs, *here, code=2)
    assert "by another key" in say("predict", photographs, *here, "--public-key", files[1], code=1)


def test_a_service_refuses_an_unsigned_version_also_one_that_was_never_released(
    tmp_path: Path, serving: Path, numbers: list[str]
) -> None:
    key = Ed25519PrivateKey.generate()
    folder = serving / numbers[2]
    Source(serving, is_one_version=False).check(folder)
    Source(tmp_path / "model 0", is_one_version=True).check(tmp_path / "model 0")
    with pytest.raises(RefusedVersionError, match="the release is not signed"):
        Source(serving, False, key.public_key()).check(folder)
    with pytest.raises(RefusedVersionError, match=r"has no manifest\.json"):
        Source(tmp_path / "model 0", True, key.public_key()).check(tmp_path / "model 0")
    signed = publish(write_model(tmp_path / "signed"), serving, RELEASE, Signer(key))
    Source(serving, False, key.public_key()).check(signed)
    recorded = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (serving / "release.pub").write_bytes(recorded)
    Source(serving, False).check(signed)
    with pytest.raises(RefusedVersionError, match="the release is not signed"):
        Source(serving, False).check(folder)


def test_what_cannot_be_answered_is_said_before_anything_is_done(tmp_path: Path, serving: Path) -> None:
    absent = tmp_path / "absent"
    for command in ("versions", "verify", "rollback"):
        assert f"there is no serving directory '{absent / 'serving'}'" in say(command, "--workspace", absent, code=2)
    here = ("verify", "--workspace", tmp_path)
    assert "there is no version 5 in" in say(*here, 5, code=2)
    assert "give one of the two" in say(*here, 5, "--model", serving, code=2)
    assert "which is no folder" in say(*here, "--model", absent, code=2)
    assert "cannot read the public key" in say(*here, "--public-key", absent, code=2)
    call(*here, "latest", code=2)
    (tmp_path / "empty").mkdir()
    assert "there is no version in" in say("verify", "--serving", tmp_path / "empty", code=2)


def test_the_answers_need_no_tensorflow(serving: Path) -> None:
    script = f"""
import sys
from crackgate_cli.main import app
for command in ("versions", "verify", "rollback"):
    app([command, "--serving", {str(serving)!r}], standalone_mode=False)
print(sorted({set(FORBIDDEN)!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
