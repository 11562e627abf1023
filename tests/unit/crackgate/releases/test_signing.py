"""Signed releases, with keys that OpenSSL makes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from crackgate.config.configuration import ConfigError, load_config
from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.model_files import MANIFEST_FILE, SIGNATURE_FILE
from crackgate.releases import (
    UntrustedVersionError,
    check_trusted,
    production_version,
    publish,
    read_manifest,
    roll_back,
    verify,
)
from crackgate.releases.signatures import KeyFileError, PublicKey, Signer, fingerprint, load_public_key, load_signer
from crackgate.releases.withdrawal import AlteredVersionError
from tests.helpers.pushing import RELEASE, write_model

PEM = (Encoding.PEM, PrivateFormat.PKCS8)


@pytest.fixture(scope="module")
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def public_key(key: ed25519.Ed25519PrivateKey) -> PublicKey:
    return key.public_key()


@pytest.fixture
def signed(tmp_path: Path, key: ed25519.Ed25519PrivateKey) -> Path:
    return publish(write_model(tmp_path / "model"), tmp_path / "serving", RELEASE, Signer(key))


def test_a_signed_release_verifies_with_its_key_and_says_when_nobody_checked(
    signed: Path, public_key: PublicKey
) -> None:
    own = fingerprint(public_key)
    assert read_manifest(signed).signing_key == own
    assert (verify(signed, public_key).problems, verify(signed, public_key).signature) == ([], f"signed by {own}")
    unchecked = verify(signed)
    assert unchecked.intact and unchecked.signature == f"signed by {own}, not checked: no --public-key was given"


def test_a_signature_is_refused_when_it_is_missing_wrong_or_of_another_manifest(
    signed: Path, public_key: PublicKey, tmp_path: Path
) -> None:
    stranger = ed25519.Ed25519PrivateKey.generate()
    (problem,) = verify(signed, stranger.public_key()).problems
    assert problem.startswith("the signature is by another key: ") and fingerprint(public_key) in problem

    content = json.loads((signed / MANIFEST_FILE).read_text())
    signature = (signed / SIGNATURE_FILE).read_bytes()
    (signed / SIGNATURE_FILE).write_bytes(signature[:-1] + bytes([signature[-1] ^ 1]))
    (problem,) = verify(signed, public_key).problems
    assert problem == "the signature is not that of this manifest.json: one of the two was altered"
    (signed / SIGNATURE_FILE).unlink()
    for given in (public_key, None):
        (problem,) = verify(signed, given).problems
        assert problem.startswith("manifest.sig is missing: the manifest says that")

    # Someone who can write there makes a release of his own, with a manifest that fits.
    forged = publish(write_model(tmp_path / "other", seed=9), tmp_path / "forged", RELEASE, Signer(stranger))
    (forged / SIGNATURE_FILE).write_bytes(signature)
    (problem,) = verify(forged, public_key).problems
    assert problem.startswith("the signature is by another key")
    unsigned = publish(write_model(tmp_path / "third", seed=9), tmp_path / "forged", RELEASE)
    assert verify(unsigned, public_key).problems == ["the release is not signed: its manifest names no key"]
    assert content["metrics"][0] == {"metric": "accuracy", "label": None, "value": 0.99, "low": None, "high": None}


def write_public_key(key: PublicKey, file: Path) -> Path:
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def test_a_key_in_the_serving_directory_must_have_signed_every_version(
    signed: Path, public_key: PublicKey, tmp_path: Path
) -> None:
    serving = signed.parent
    unsigned = publish(tmp_path / "model", serving, RELEASE)
    check_trusted(unsigned)
    recorded = write_public_key(public_key, serving / "release.pub")
    check_trusted(signed)
    assert f"is refused, since '{recorded}' requires a signature: the release is not signed" in refusal(unsigned)
    assert "has no manifest.json" in refusal(tmp_path / "model", public_key)
    (refused,) = verify(unsigned).problems
    assert refused.startswith("the release is not signed")

    # The given key counts, not the recorded one.
    stranger = ed25519.Ed25519PrivateKey.generate().public_key()
    assert "the signature is by another key" in refusal(signed, stranger)
    roll_back(serving, None, "me", "not signed")
    with pytest.raises(AlteredVersionError, match="the release is not signed"):
        roll_back(serving, int(unsigned.name), "me", "good")
    assert production_version(serving) == signed
    with pytest.raises(AlteredVersionError, match="by another key"):
        roll_back(serving, int(signed.name), "me", "good", stranger)

    # A key that cannot be used is not passed over.
    recorded.write_text("no key")
    assert "holds no public key in PEM" in refusal(signed)
    recorded.unlink()
    recorded.symlink_to("nowhere")
    assert "is no file" in refusal(signed)


@pytest.mark.parametrize("name", ["staged", "withdrawn"])
def test_the_recorded_key_counts_in_a_serving_directory_of_any_name(
    name: str, public_key: PublicKey, tmp_path: Path
) -> None:
    serving = tmp_path / name
    unsigned = publish(write_model(tmp_path / "model"), serving, RELEASE)
    write_public_key(public_key, serving / "release.pub")
    assert "the release is not signed" in refusal(unsigned)
    stranger = ed25519.Ed25519PrivateKey.generate()
    waiting = publish(tmp_path / "model", serving, RELEASE, Signer(stranger), staged_against=int(unsigned.name))
    write_public_key(stranger.public_key(), serving / "staged" / "release.pub")
    assert "the signature is by another key" in refusal(waiting), "the key above counts"


def refusal(folder: Path, key: PublicKey | None = None) -> str:
    with pytest.raises(UntrustedVersionError) as error:
        check_trusted(folder, key)
    return str(error.value)


@pytest.mark.parametrize("kind", ["a FIFO", "a symbolic link"])
def test_a_signature_that_is_no_file_is_refused_at_once(kind: str, signed: Path, public_key: PublicKey) -> None:
    file = signed / SIGNATURE_FILE
    aside = file.rename(signed.parent / "aside")
    if kind == "a FIFO":
        os.mkfifo(file)
    else:
        file.symlink_to(aside)
    (problem,) = verify(signed, public_key).problems
    assert f"it is {kind}, not a regular file" in problem


def test_an_edited_manifest_that_hides_its_edit_is_found_by_the_signature(signed: Path, public_key: PublicKey) -> None:
    manifest = read_manifest(signed)
    better = manifest.model_copy(update={"metrics": [MetricValue(metric="accuracy", value=1.0)]})
    better = better.model_copy(update={"own_digest": better.digest_content()})
    (signed / MANIFEST_FILE).write_text(better.model_dump_json(indent=2))
    assert verify(signed).problems == [], "without a key nobody can tell"
    assert verify(signed, public_key).problems == [
        "the signature is not that of this manifest.json: one of the two was altered"
    ]


def test_keys_of_openssl_work_and_openssl_checks_the_signature(tmp_path: Path) -> None:
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs openssl")

    def call(*arguments: object) -> str:
        return subprocess.run(
            [openssl, *map(str, arguments)], check=True, capture_output=True, text=True, cwd=tmp_path
        ).stdout

    # As the documentation says.
    call("genpkey", "-algorithm", "ed25519", "-out", "release.key")
    call("pkey", "-in", "release.key", "-pubout", "-out", "release.pub")
    signer = load_signer(str(tmp_path / "release.key"))
    folder = publish(write_model(tmp_path / "model"), tmp_path / "serving", RELEASE, signer)
    assert verify(folder, load_public_key(tmp_path / "release.pub")).intact
    manifest, signature = folder / MANIFEST_FILE, folder / SIGNATURE_FILE
    said = call(
        "pkeyutl", "-verify", "-pubin", "-inkey", "release.pub", "-rawin", "-in", manifest, "-sigfile", signature
    )
    assert "Signature Verified Successfully" in said


def test_a_key_comes_from_a_file_or_the_environment(
    key: ed25519.Ed25519PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = key.private_bytes(*PEM, NoEncryption())
    (tmp_path / "release.key").write_bytes(pem)
    monkeypatch.setenv("RELEASE_KEY", pem.decode())
    of_file, of_environment = load_signer(str(tmp_path / "release.key")), load_signer("env:RELEASE_KEY")
    assert of_file.fingerprint == of_environment.fingerprint == fingerprint(key.public_key())
    assert str(of_file) == f"Signer({of_file.fingerprint})"


def test_a_key_that_cannot_be_used_is_named_and_never_shown(
    key: ed25519.Ed25519PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {
        "no PEM": b"not a key",
        "passphrase": key.private_bytes(*PEM, BestAvailableEncryption(b"secret")),
        "RSA": rsa.generate_private_key(65537, 2048).private_bytes(*PEM, NoEncryption()),
        "public": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }
    expected = {"no PEM": "holds no private key", "passphrase": "has a passphrase", "RSA": "is no Ed25519 key"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(KeyFileError, match=expected.get(name, "holds no private key")) as raised:
            load_signer(str(tmp_path / name))
        assert str(tmp_path / name) in str(raised.value) and "BEGIN" not in str(raised.value)
    with pytest.raises(KeyFileError, match=r"cannot read the signing key .*: No such file"):
        load_signer(str(tmp_path / "absent"))
    monkeypatch.delenv("RELEASE_KEY", raising=False)
    with pytest.raises(KeyFileError, match=r"the environment variable 'RELEASE_KEY'.* is not set"):
        load_signer("env:RELEASE_KEY")
    (tmp_path / "RSA public").write_bytes(
        rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for name, said in {"no PEM": "no public key in PEM", "RSA public": "no Ed25519", "gone": "No such file"}.items():
        with pytest.raises(KeyFileError, match=said):
            load_public_key(tmp_path / name)
    # A device that never ends is not read to its end.
    with pytest.raises(KeyFileError, match="no public key in PEM"):
        load_public_key(Path("/dev/zero"))
    with pytest.raises(KeyFileError, match="no private key in PEM"):
        load_signer("/dev/zero")


def test_a_key_in_the_configuration_is_refused_and_not_repeated(key: ed25519.Ed25519PrivateKey) -> None:
    pem = key.private_bytes(*PEM, NoEncryption()).decode()
    for assignment in (f"release.signing_key={json.dumps(pem)}", f"release.keep={json.dumps(pem)}"):
        with pytest.raises(ConfigError) as raised:
            load_config(None, [assignment])
        assert pem.splitlines()[1] not in str(raised.value) and "received a private key" in str(raised.value)
