"""Names the images of others by digest, as their registries have them now: `make pin-images`.

It asks crane (github.com/google/go-containerregistry), which knows registries, their logins and their indexes of
platforms. The tag stays beside the digest, and says what the next call asks for.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (ROOT / "kubeflow/image/Dockerfile", ROOT / "kubeflow/manifests/images/kustomization.yaml")
# `make image` makes that one.
_OWN = "crackgate"
_BASE = re.compile(r"^(ARG BASE=)(?P<image>\S+?)(@sha256:[0-9a-f]{64})?$", re.MULTILINE)
_ENTRY = re.compile(
    r'^(?P<head>  - name: (?P<name>\S+)\n    newName: (?P<image>\S+)\n    newTag: "?(?P<tag>[^"\n]+)"?\n)'
    r"(?:    digest: \S+\n)?",
    re.MULTILINE,
)


class DigestError(Exception):
    """A registry did not tell an image's digest."""


def pin(text: str, digest_of: Callable[[str], str]) -> str:
    """Returns the text of a Dockerfile or of kustomize's list of images with the digests that `digest_of` finds."""

    def entry(found: re.Match[str]) -> str:
        if found["name"] == _OWN:
            return found[0]
        return f"{found['head']}    digest: {digest_of(found['image'] + ':' + found['tag'])}\n"

    text = _BASE.sub(lambda found: f"{found[1]}{found['image']}@{digest_of(found['image'])}", text)
    return _ENTRY.sub(entry, text)


def digest_of(image: str) -> str:
    """Returns the digest of an image with a tag, "sha256:..."; raises DigestError where its registry tells none."""
    try:
        asked = subprocess.run(["crane", "digest", image], capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DigestError(f"{image}: crane did not answer: {error}; 'make pin-images' installs it with go") from None
    digest = asked.stdout.strip()
    if asked.returncode or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        reason = (asked.stderr.strip() or asked.stdout.strip()).splitlines()
        raise DigestError(
            f"{image}: its registry tells no digest: {' '.join(reason[-1:])}; run this where it can be reached"
        )
    return digest


def main() -> None:
    """Pins every file, or none if a registry cannot be asked."""
    try:
        pinned = {file: pin(file.read_text(encoding="utf-8"), digest_of) for file in FILES}
    except DigestError as error:
        sys.exit(f"error: {error}; nothing was changed")
    for file, text in pinned.items():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))


if __name__ == "__main__":
    main()
