"""Digests of the code behind a result, for caches: TFX hashes options and inputs, but not the code that ran."""

import ast
import csv
import hashlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

# The top-level packages of the wheel. Once installed, they lie beside everybody else's.
PACKAGES = ("components", "crackgate", "crackgate_cli", "kubeflow", "pipeline", "serving", "trainer")

_ROOT = Path(__file__).resolve().parents[1]
# Folders of installed packages.
_SITE = {"site-packages", "dist-packages"}
_TEMPLATE = re.compile(r"""\{%[-+]?\s*(?:include|import|from|extends)\s+["']([^"']+)["']""")


def code_digest(*entries: str, packages: Iterable[str] = (), root: Path = _ROOT) -> str:
    """Digests our own code and the versions of the packages that decide a result: SHA-256 in hexadecimal.

    It covers `closure(*entries)`, Python's minor version, `packages`, and every distribution that the closure imports.
    It leaves out their requirements: TFX alone requires most of an environment.

    Args:
        entries: Dotted names of modules, or of functions in them.
        packages: Distributions that decide the result, but that only other packages import.
        root: The folder of our top-level packages. The digest does not depend on where it lies.

    Raises:
        ModuleNotFoundError: An entry is no module of ours.
        importlib.metadata.PackageNotFoundError: One of `packages` is not installed.
    """
    return _digest(*_follow(entries, root, PACKAGES), root, packages)


def own_digest(module: str) -> str:
    """Digests a module of the user's own, by its dotted name: SHA-256 in hexadecimal.

    The current folder is searched first, then Python's path. An installed module counts by the version of its
    distribution. Any other counts by its closure, as for `code_digest`, within the folder of its top-level package.

    Raises:
        ModuleNotFoundError: There is no such module.
        SyntaxError: A file of its closure is not Python.
    """
    top = _top_level(module)
    spec = PathFinder.find_spec(top, [os.getcwd(), *sys.path]) or find_spec(top)
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    # The parts of a namespace package may lie in several folders.
    roots = [Path(place).absolute().parent for place in places if place]
    root = next((root for root in roots if _file(module, root)), None)
    if root is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    if _SITE.intersection(root.parts) and (versions := _versions(module)):
        return hashlib.sha256("\n".join(sorted(versions)).encode()).hexdigest()
    beside = {path.stem for path in root.iterdir() if path.suffix == ".py" or path.is_dir()}
    return _digest(*_follow([module], root, beside), root)


def _digest(files: set[Path], imported: set[str], root: Path, packages: Iterable[str] = ()) -> str:
    digests = [f"{file.relative_to(root).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    versions = {_version(package) for package in packages}.union(*map(_versions, imported))
    python = "python=={}.{}".format(*sys.version_info)
    return hashlib.sha256("\n".join([*sorted(digests), *sorted(versions), python]).encode()).hexdigest()


def closure(*entries: str, root: Path = _ROOT) -> tuple[str, ...]:
    """Returns our files that run, or are read, when the entries do: sorted POSIX paths, relative to `root`.

    A module leads to:

    - its imports, those inside functions included, those under `if TYPE_CHECKING:` not, and to their packages;
    - modules and functions that a string names ("trainer.run_fn", "trainer.run_fn.run_fn");
    - files in its own folder that a string names ("probe.py", "page.html.jinja").

    A template leads to the templates that it names, in any folder of the closure. See `code_digest` for errors.
    """
    return tuple(sorted(file.relative_to(root).as_posix() for file in _follow(entries, root, PACKAGES)[0]))


def _follow(entries: Iterable[str], root: Path, ours: Collection[str]) -> tuple[set[Path], set[str]]:
    """The files of the closure in the top-level packages `ours`, and the modules of other packages that it imports."""
    files: set[Path] = set()
    imported: set[str] = set()
    followed: set[str] = set()
    templates: set[str] = set()
    pending: list[Path] = []
    for entry in entries:
        if not _is_ours(entry, root, ours):
            raise ModuleNotFoundError(
                f"no module {entry!r} in {root}: name a module of {', '.join(ours)}, such as 'trainer.run_fn'"
            )
        pending += _run_files(entry, root)
    while pending:
        while pending:
            file = pending.pop()
            if file in files:
                continue
            files.add(file)
            if file.suffix != ".py":
                templates.update(_TEMPLATE.findall(file.read_text(encoding="utf-8", errors="replace")))
                continue
            imports, strings = _parse(file.read_bytes(), ".".join(file.parent.relative_to(root).parts))
            names = imports | {text for text in strings if "." in text and _is_ours(text, root, ours)}
            for name in names - followed:
                if _top_level(name) in ours:
                    pending += _run_files(name, root)
                else:
                    imported.add(name)
            followed |= names
            pending += _present([file.parent], strings.intersection(os.listdir(file.parent)))
        pending = [file for file in _present({file.parent for file in files}, templates) if file not in files]
    return files, imported


def _present(folders: Iterable[Path], names: Iterable[str]) -> Iterator[Path]:
    return (file for folder in folders for name in names if (file := folder / name).is_file())


def _is_ours(name: str, root: Path, ours: Collection[str]) -> bool:
    """Whether it names a module of ours, or an attribute of one that is not a top-level package."""
    if _top_level(name) not in ours or not all(part.isidentifier() for part in name.split(".")):
        return False
    parent = name.rpartition(".")[0]
    return _file(name, root) is not None or ("." in parent and _file(parent, root) is not None)


def _run_files(name: str, root: Path) -> Iterator[Path]:
    """The files that an import runs: of the packages on the way, and of the module, if the last part is one."""
    prefixes = accumulate(name.split("."), "{}.{}".format)
    return (file for prefix in prefixes if (file := _file(prefix, root)))


def _file(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next(_present([path.parent], [f"{path.name}/__init__.py", f"{path.name}.py"]), None)


def _top_level(name: str) -> str:
    return name.partition(".")[0]


@cache
def _parse(source: bytes, package: str) -> tuple[frozenset[str], frozenset[str]]:
    """The absolute names that a module of `package` imports, as modules or from them, and its strings."""
    imports: set[str] = set()
    strings: set[str] = set()
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                pending += node.orelse
                continue
            case ast.Import():
                imports.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                above = package.split(".")[: -node.level + 1 or None] if node.level else []
                parts = [*above, *([node.module] if node.module else [])]
                imports.update(".".join([*parts, alias.name]) for alias in node.names)
            case ast.Constant(value=str(text)):
                strings.add(text)
        pending += ast.iter_child_nodes(node)
    return frozenset(imports), frozenset(strings)


@cache
def _versions(module: str) -> frozenset[str]:
    """`name==version` of the distributions that hold a module; none for the standard library's."""
    owners = _holders().get(_top_level(module), [])
    if len(owners) > 1:
        # Dozens of distributions hold a part of `google`.
        part = re.compile(rf"^{'/'.join(map(re.escape, module.split('.')[:2]))}[/.]", re.MULTILINE)
        owners = [owner for owner in owners if part.search(owner.read_text("RECORD") or "")] or owners
    return frozenset(_version(_name(owner)) for owner in owners)


@cache
def _name(distribution: metadata.Distribution) -> str:
    return distribution.metadata["Name"]


@cache
def _version(distribution: str) -> str:
    return f"{distribution}=={metadata.version(distribution)}"


@cache
def _holders() -> Mapping[str, list[metadata.Distribution]]:
    """The installed distributions by the top-level names that they hold.

    They are those of `metadata.packages_distributions`, which parses the metadata of every distribution for its name.
    """
    holders: dict[str, list[metadata.Distribution]] = {}
    for distribution in metadata.distributions():
        for name in _top_level_names(distribution):
            holders.setdefault(name, []).append(distribution)
    return holders


def _top_level_names(distribution: metadata.Distribution) -> Collection[str]:
    if declared := (distribution.read_text("top_level.txt") or "").split():
        return declared
    if record := distribution.read_text("RECORD"):
        # A path object for each file takes ten times as long.
        paths = [row[0] for row in csv.reader(record.splitlines()) if row]
    else:
        paths = [str(path) for path in distribution.files or ()]
    return {path.partition("/")[0].removesuffix(".py") for path in paths if path.endswith(".py")}
