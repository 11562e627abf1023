"""Ed25519 signatures of releases, over the bytes of `manifest.json`, which names the SHA-256 of every file.

Keys are PEM files. OpenSSL can make keys and verify signatures:

    openssl genpkey -algorithm ed25519 -out release.key
    openssl pkey -in release.key -pubout -out release.pub
    openssl pkeyutl -verify -pubin -inkey release.pub -rawin -in manifest.json -sigfile manifest.sig
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from crackgate.contracts.model_files import MANIFEST_FILE, SIGNATURE_FILE
from crackgate.regular_file import open_regular
from crackgate.releases.manifest import Manifest

PublicKey = Ed25519PublicKey
ENVIRONMENT_PREFIX = "env:"
# In a serving directory: every version there must be signed by this key.
RECORDED_KEY_FILE = "release.pub"
_SIGNATURE_BYTES = 64
# A PEM file of an Ed25519 key has some hundred bytes, with a comment before it perhaps more.
_MOST_KEY_BYTES = 2**16
_HOW_TO_MAKE = "make one with 'openssl genpkey -algorithm ed25519 -out release.key'"
_HOW_TO_DERIVE = "derive it with 'openssl pkey -in release.key -pubout -out release.pub'"


class KeyFileError(Exception):
    """A key cannot be used; the message reveals nothing of it."""


class SignatureError(Exception):
    """A signature is missing or wrong."""


class Signer:
    """Signs manifests; the private key stays in memory."""

    def __init__(self, key: Ed25519PrivateKey):
        self._key = key
        self.fingerprint = fingerprint(key.public_key())

    def __repr__(self) -> str:
        return f"Signer({self.fingerprint})"

    def sign(self, manifest: bytes) -> bytes:
        """Returns the signature, 64 bytes."""
        return self._key.sign(manifest)

    def has_signed(self, folder: Path, manifest: Manifest) -> bool:
        """Whether a version bears this key's signature."""
        try:
            check_signature(folder, manifest, self._key.public_key())
        except SignatureError:
            return False
        return True


def load_signer(source: str) -> Signer:
    """Reads an Ed25519 private key in PEM without a passphrase; raises KeyFileError if that fails.

    `source` is a path, or "env:NAME" for the content of an environment variable.
    """
    try:
        key = load_pem_private_key(_read_secret(source), password=None)
    except TypeError:
        raise KeyFileError(f"the key of {source!r} has a passphrase: give one without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{source!r} holds no private key in PEM: {_HOW_TO_MAKE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the key of {source!r} is no Ed25519 key: {_HOW_TO_MAKE}")
    return Signer(key)


def load_public_key(file: Path) -> PublicKey:
    """Reads an Ed25519 public key from a PEM file; raises KeyFileError if it holds none."""
    try:
        key = load_pem_public_key(_read_key(file))
    except OSError as error:
        raise KeyFileError(f"cannot read the public key {str(file)!r}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{str(file)!r} holds no public key in PEM: {_HOW_TO_DERIVE}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{str(file)!r} holds no Ed25519 public key: {_HOW_TO_DERIVE}")
    return key


def recorded_key(serving_dir: Path) -> PublicKey | None:
    """The key that must have signed all versions of a serving directory; None if it requires none.

    Raises KeyFileError for a key that cannot be used: it is not passed over.
    """
    file = serving_dir / RECORDED_KEY_FILE
    if not os.path.lexists(file):
        return None
    if not file.is_file():
        raise KeyFileError(f"{str(file)!r}, which says who signs here, is no file: put the public key's PEM file there")
    return load_public_key(file)


def find_wrong_signer(signer: Signer | None, public_key: PublicKey | None) -> str:
    """A sentence that says so if releases by `signer` would be refused, since `public_key` must sign them; else ""."""
    if public_key is None or (signer and signer.fingerprint == fingerprint(public_key)):
        return ""
    received = f"the key {signer.fingerprint}" if signer else "no key"
    return (
        f"release.signing_key: received {received}, and every version must be signed by {fingerprint(public_key)}: set "
        "release.signing_key to the private key of release.public_key or of the serving directory's "
        f"{RECORDED_KEY_FILE}"
    )


def fingerprint(key: PublicKey) -> str:
    """SHA-256 of the key in DER, equal to `openssl pkey -pubin -outform der | sha256sum`."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def check_signature(folder: Path, manifest: Manifest, public_key: PublicKey | None) -> str:
    """Says in a sentence how the version is signed; without `public_key` any state that fits the manifest is accepted.

    Raises SignatureError for a signature that is missing, by another key, or over another manifest.
    """
    file = folder / SIGNATURE_FILE
    if manifest.signing_key is None:
        if public_key is not None:
            raise SignatureError("the release is not signed: its manifest names no key")
        return "not signed"
    if not os.path.lexists(file):
        raise SignatureError(f"{SIGNATURE_FILE} is missing: the manifest says that {manifest.signing_key} signed it")
    if public_key is None:
        return f"signed by {manifest.signing_key}, not checked: no --public-key was given"
    # This precedes the fingerprint's comparison, since an altered manifest may name any key.
    try:
        with open_regular(file) as signature, open_regular(folder / MANIFEST_FILE) as content:
            public_key.verify(signature.read(_SIGNATURE_BYTES + 1), content.read())
    except InvalidSignature:
        own = fingerprint(public_key)
        if manifest.signing_key != own:
            raise SignatureError(
                f"the signature is by another key: {manifest.signing_key}, and the given one is {own}"
            ) from None
        raise SignatureError(f"the signature is not that of this {MANIFEST_FILE}: one of the two was altered") from None
    except OSError as error:
        raise SignatureError(f"cannot read {error.filename!r}: {error.strerror}") from None
    return f"signed by {fingerprint(public_key)}"


def _read_key(file: Path) -> bytes:
    """Reads a file, a device, or a pipe that a shell made; a device may never end."""
    with file.open("rb") as content:
        return content.read(_MOST_KEY_BYTES)


def _read_secret(source: str) -> bytes:
    name = source.removeprefix(ENVIRONMENT_PREFIX)
    if name != source:
        value = os.environ.get(name)
        if not value:
            raise KeyFileError(f"the environment variable {name!r} is not set: put the signing key's PEM file into it")
        return value.encode()
    try:
        return _read_key(Path(source))
    except OSError as error:
        raise KeyFileError(f"cannot read the signing key {source!r}: {error.strerror}") from None
