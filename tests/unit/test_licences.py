"""What the environment's packages say of their licences."""

import importlib.metadata
import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs/image.md"


def names_a_licence(package: importlib.metadata.Distribution) -> bool:
    metadata = package.metadata
    declared = [metadata.get("License-Expression"), metadata.get("License")]
    classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    return bool(classifiers) or any(each and each != "UNKNOWN" for each in declared)


def test_packages_without_a_licence_in_their_metadata_are_those_of_the_docs_and_bring_its_text() -> None:
    silent = {each.metadata["Name"]: each for each in importlib.metadata.distributions() if not names_a_licence(each)}
    section = re.search(r"name no licence in their metadata;(.*?)\n\n", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert section is not None
    documented = set(re.findall(r"`([^`]+)`", section[1]))
    assert set(silent) == documented
    for name, package in silent.items():
        texts = [file for file in package.files or [] if "LICENSE" in file.name]
        assert any("Apache" in file.read_text() for file in texts), name
