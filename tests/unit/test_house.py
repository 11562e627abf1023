"""The rules of the house that no linter holds (docs/architecture.md)."""

import ast
from collections import defaultdict
from pathlib import Path

from crackgate.source_digest import PACKAGES

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted(file for package in (*PACKAGES, "tools") for file in (PROJECT / package).rglob("*.py"))


def test_every_component_has_its_component_file() -> None:
    folders = {file.parent for file in (PROJECT / "components").glob("*/__init__.py")}
    without = {folder.name for folder in folders if not (folder / "component.py").is_file()}
    assert without == {"evaluator", "resolvers", "shared"} and len(folders) > 8


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for file in SOURCES:
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file.relative_to(PROJECT).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
    assert len(places) > 200


def test_no_file_is_called_a_tool_box() -> None:
    assert not {file.stem for file in SOURCES} & {"utils", "util", "helpers", "helper", "common", "misc"}
