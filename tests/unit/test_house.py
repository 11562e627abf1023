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


# What makes a path of a text, and opens or lists a path of this machine.
_LOCAL = {"Path", "open", "glob", "iglob", "listdir", "scandir", "walk", "is_dir", "is_file", "isdir", "isfile"}
# Where the places of artifacts and of their temporary folders come from.
_PLACES = {
    "uri",
    "get_single_uri",
    "get_split_uri",
    "serving_model_path",
    "_get_tmp_dir",
    "input_base",
    "input_base_uri",
}


def _names(node: ast.AST) -> set[str]:
    return {getattr(each, "attr", None) or getattr(each, "id", "") for each in ast.walk(node)}


def _opened_as_local(source: bytes) -> list[int]:
    """Lines that take an artifact's place for a path of this machine, and not through TFX's file I/O."""
    return sorted(
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and _names(call.func) & _LOCAL
        and not _names(call.func) & {"fileio", "gfile", "FileSystems", "FileSystem"}
        and any(_names(each) & _PLACES for each in (call.func, *call.args))
    )


def test_places_of_artifacts_are_no_paths_of_this_machine() -> None:
    found = {
        (file.relative_to(PROJECT).as_posix(), line)
        for package in ("components", "trainer", "pipeline")
        for file in (PROJECT / package).rglob("*.py")
        if file.name != "local_artifact.py"
        for line in _opened_as_local(file.read_bytes())
    }
    assert found == set()
    assert _opened_as_local(b"Path(artifact.uri) / 'a'\nopen(os.path.join(get_single_uri(x), 'b'))") == [1, 2]
    assert _opened_as_local(b"fileio.open(artifact.uri)\nlocal_path(artifact.uri)\nopen(file)") == []
