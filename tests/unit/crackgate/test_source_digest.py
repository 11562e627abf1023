"""The digest of the code behind a result: it changes with what runs, and with nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from crackgate.source_digest import PACKAGES, _holders, closure, code_digest

PROJECT = Path(__file__).resolve().parents[3]
EXECUTORS = sorted(f"components.{file.parent.name}.executor" for file in PROJECT.glob("components/*/executor.py"))
ENTRY = "components.check.executor"
FILES = {
    "components/__init__.py": "",
    "components/check/__init__.py": "from crackgate import initial\n",
    "components/check/executor.py": '''"""Reads "unread.css"."""
import json
import os.path
import sys
import typing
from typing import TYPE_CHECKING

import crackgate.rooms.dotted
from crackgate import rooms
from crackgate.rooms import member
from crackgate.rooms.constants import LIMIT
from . import sibling
from ..shared.outliers import find

if TYPE_CHECKING:
    from crackgate.rooms import annotation
else:
    from crackgate.rooms import otherwise
if typing.TYPE_CHECKING:
    import serving.annotation

READER = [sys.executable, "-m", "components.check.reader"]
FUNCTION = "trainer.loop.run"
PROBE = "probe.py"
TEMPLATE = "page.html.jinja"
PLAIN_WORDS = ("serving", "pipeline.", "serving.txt", "absent.css", "components.check.absent.deeper")


def work():
    from crackgate.rooms import late
    from crackgate.pages.html import render
''',
    "components/check/component.py": "from components.check import executor\n",
    "components/check/sibling.py": "",
    "components/check/reader.py": "",
    "components/check/probe.py": "import crackgate.rooms.probed\n",
    "components/check/page.html.jinja": """{% extends 'base.html.jinja' %}
{%- include "style.css" %}{{ "unread.css" }}""",
    "components/check/base.html.jinja": "{% from 'macros.jinja' import sheet %}",
    "components/check/macros.jinja": "",
    "components/check/unread.css": "",
    "components/shared/outliers.py": "",
    "crackgate/__init__.py": "",
    "crackgate/initial.py": "",
    "crackgate/pages/__init__.py": "",
    "crackgate/pages/html.py": "",
    "crackgate/pages/style.css": "",
    "crackgate/pages/unread.css": "",
    "crackgate/rooms/__init__.py": "",
    "crackgate/rooms/annotation.py": "",
    "crackgate/rooms/constants.py": "LIMIT = 1\n",
    "crackgate/rooms/dotted.py": "import components.check.executor\n",
    "crackgate/rooms/late.py": "",
    "crackgate/rooms/member.py": "",
    "crackgate/rooms/otherwise.py": "",
    "crackgate/rooms/probed.py": "",
    "crackgate/rooms/unused.py": "",
    "pipeline/__init__.py": "",
    "serving/__init__.py": "",
    "serving/annotation.py": "",
    "tests/test_executor.py": "import components.check.executor\n",
    "trainer/__init__.py": "",
    "trainer/loop.py": "",
}
ELSEWHERE = {
    "components/check/component.py",
    "components/check/unread.css",
    "crackgate/pages/unread.css",
    "crackgate/rooms/annotation.py",
    "crackgate/rooms/unused.py",
    "pipeline/__init__.py",
    "serving/__init__.py",
    "serving/annotation.py",
    "tests/test_executor.py",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path / "tree" / name, text)
    return tmp_path / "tree"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_the_closure_is_what_runs_and_what_is_read(tree: Path) -> None:
    assert closure(ENTRY, root=tree) == tuple(sorted(FILES.keys() - ELSEWHERE))


@pytest.mark.parametrize("file", sorted(FILES))
def test_an_edit_changes_the_digest_only_within_the_closure(tree: Path, file: str) -> None:
    before = code_digest(ENTRY, root=tree)
    with (tree / file).open("a", encoding="utf-8") as opened:
        opened.write("\n")
    assert (code_digest(ENTRY, root=tree) == before) == (file in ELSEWHERE)


def test_a_new_import_brings_in_its_module(tree: Path) -> None:
    write(tree / "components/check/sibling.py", "import crackgate.rooms.unused\n")
    assert "crackgate/rooms/unused.py" in closure(ENTRY, root=tree)


def test_a_template_that_moves_changes_the_digest(tree: Path) -> None:
    before = code_digest(ENTRY, root=tree)
    (tree / "crackgate/pages/style.css").rename(tree / "components/check/style.css")
    assert code_digest(ENTRY, root=tree) != before


def test_the_digest_does_not_depend_on_where_the_checkout_lies(tree: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tree, tmp_path / "elsewhere" / "another name")
    assert code_digest(ENTRY, root=other) == code_digest(ENTRY, root=tree)


def test_several_entries_are_one_closure_in_any_order(tree: Path) -> None:
    both = closure("trainer.loop.run", "serving.annotation", root=tree)
    assert both == ("serving/__init__.py", "serving/annotation.py", "trainer/__init__.py", "trainer/loop.py")
    digests = {
        code_digest("trainer.loop.run", "serving.annotation", root=tree),
        code_digest("serving.annotation", "trainer.loop", root=tree),
    }
    assert len(digests) == 1
    assert code_digest("trainer.loop", root=tree) not in digests


def test_another_minor_version_of_python_is_another_digest(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest(ENTRY, root=tree)
    major, minor, *rest = sys.version_info
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (major, minor, 99))
        assert code_digest(ENTRY, root=tree) == before
        patch.setattr(sys, "version_info", (major, minor + 1, *rest))
        assert code_digest(ENTRY, root=tree) != before


@pytest.mark.parametrize(
    "entry",
    ["components.check.absent.executor", "trainer.absent", "tests.test_executor", "json", "trainer/loop.py", ""],
)
def test_an_entry_that_is_no_module_of_ours_is_an_error(tree: Path, entry: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"no module '{entry}' in .*: name a module of components, crackgate"):
        closure(entry, root=tree)


# Versions are read once in a process, so every environment gets its own.


def digest_with(tree: Path, site: Path, *packages: str, check: bool = True) -> str:
    call = f"code_digest({ENTRY!r}, packages={packages!r}, root=Path({str(tree)!r}))"
    process = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from crackgate.source_digest import *; print({call})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(site)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode == 0) == check, process.stderr
    return process.stdout if check else process.stderr


def install(site: Path, name: str, version: str, *modules: str) -> None:
    """Writes what pip does, but for the modules themselves: they are never imported."""
    stem = name.replace("-", "_")
    for old in site.glob(f"{stem}-*.dist-info"):
        shutil.rmtree(old)
    folder = site / f"{stem}-{version}.dist-info"
    write(folder / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    write(folder / "RECORD", "".join(f"{module},,\n" for module in (*modules, f"{folder.name}/METADATA")))


def test_the_holders_of_modules_are_those_of_the_standard_library() -> None:
    # Earlier tests may have read them before a library put a folder of its own on Python's path.
    _holders.cache_clear()
    held = {name: sorted(holder.metadata["Name"] for holder in holders) for name, holders in _holders().items()}
    assert held == {name: sorted(holders) for name, holders in metadata.packages_distributions().items()}


def test_only_a_version_that_decides_the_result_changes_the_digest(tree: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    write(tree / "crackgate/rooms/late.py", "def see():\n    from vision.kernels import blur\n    import common.used\n")
    write(tree / "crackgate/rooms/annotation.py", "import hints\n")
    for name, modules in {
        "vision-kit": ("vision/__init__.py", "vision/kernels.py"),
        "hints": ("hints.py",),
        "common-used": ("common/used/__init__.py",),
        "common-unused": ("common/unused/__init__.py",),
        "required": ("required.py",),
    }.items():
        install(site, name, "1.0", *modules)
    before = digest_with(tree, site)

    for name, module in (("hints", "hints.py"), ("common-unused", "common/unused/a.py"), ("required", "required.py")):
        install(site, name, "1.1", module)
    assert digest_with(tree, site) == before, "no module in the closure imports these"

    install(site, "vision-kit", "1.1", "vision/__init__.py", "vision/kernels.py")
    upgraded = digest_with(tree, site)
    assert upgraded != before

    install(site, "common-used", "1.1", "common/used/__init__.py")
    assert digest_with(tree, site) not in (before, upgraded)


def test_a_package_that_others_import_counts_where_it_is_named(tree: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert "No package metadata was found for required" in digest_with(tree, site, "required", check=False)
    install(site, "required", "1.0", "required.py")
    before = digest_with(tree, site, "required")
    install(site, "required", "1.1", "required.py")
    assert digest_with(tree, site, "required") != before


# The real tree.


def test_the_packages_are_those_of_the_wheel() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert sorted(configuration["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == list(PACKAGES)


@pytest.mark.parametrize("entry", [*EXECUTORS, "components.evaluator.extractor", "components.evaluator.metrics"])
def test_the_work_of_a_component_does_not_depend_on_who_orders_it(entry: str) -> None:
    folders = {file.split("/")[0] for file in closure(entry)}
    assert folders <= {"components", "crackgate"}
    assert not [file for file in closure(entry) if file.endswith("/component.py")]


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("components.data_page.executor", ("components/data_page/page.html.jinja", "crackgate/pages/style.css")),
        ("components.serving_check.executor", ("components/serving_check/probe.py",)),
        ("crackgate.report.files", ("crackgate/report/report.html.jinja", "crackgate/report/model_card.md.jinja")),
    ],
)
def test_what_only_a_string_names_is_in_the_closure(entry: str, files: tuple[str, ...]) -> None:
    assert set(files) <= set(closure(entry))


def test_the_closure_holds_every_module_that_an_import_loads() -> None:
    entries = ("crackgate.report.files", "crackgate.runs.history", "crackgate.releases.publication")
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {', '.join(entries)}\n"
            f"print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in {PACKAGES}))",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = {Path(file).relative_to(PROJECT).as_posix() for file in loaded}
    assert len(ours) > len(entries)
    assert ours <= set(closure(*entries))
