"""The caller's environment does not change what crackgate does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crackgate_cli.environment import keep_own_packages_first, set_libraries_up

PROJECT = Path(__file__).resolve().parents[3]


def test_packages_of_the_same_name_on_the_path_do_not_hide_ours(tmp_path: Path) -> None:
    for name in ("pipeline", "components", "trainer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('theirs')")
    code = "import sys, crackgate_cli.main, pipeline, components.shared, trainer; print(pipeline.__file__, sys.argv)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(PROJECT)))}
    finished = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.stdout.startswith(str(PROJECT / "pipeline")), finished.stderr


@pytest.mark.parametrize(
    ("given", "kept"), [("error", None), ("ignore,error::DeprecationWarning", None), ("default", "default")]
)
def test_a_library_that_warns_is_no_error(given: str, kept: str | None) -> None:
    code = (
        "import os, warnings; from crackgate_cli.environment import forgive_warnings; forgive_warnings(os.environ); "
        "warnings.warn('old', DeprecationWarning); compile(chr(39) + chr(92) + '/' + chr(39), 'theirs', 'exec'); "
        "print(os.environ.get('PYTHONWARNINGS'))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONWARNINGS": given, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout == f"{kept}\n", finished.stderr


def test_processes_find_ours_first_only_where_others_are_in_the_way(tmp_path: Path) -> None:
    root, theirs, harmless = (tmp_path / name for name in ("root", "theirs", "harmless"))
    (theirs / "serving").mkdir(parents=True)
    (harmless / "other").mkdir(parents=True)
    for package in ("serving", "pipeline"):
        (root / package).mkdir(parents=True)

    path, environment = [str(harmless), str(root), str(theirs)], {}
    keep_own_packages_first(path, environment, harmless, root)
    assert path == [str(harmless), str(root), str(theirs)] and environment == {}

    path, environment = [str(harmless), str(theirs), str(root)], {"PYTHONPATH": "before"}
    keep_own_packages_first(path, environment, theirs, root)
    assert path == [str(harmless), str(root), str(theirs), str(root)]
    assert environment == {"PYTHONPATH": f"{root}{os.pathsep}before", "PYTHONSAFEPATH": "1"}

    environment = {}
    keep_own_packages_first([str(root)], environment, root, root)
    assert environment == {}


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTPS_PROXY", "all_proxy", "grpc_proxy"])
def test_no_proxy_stands_before_this_machine(proxy: str) -> None:
    environment = {proxy: "http://proxy:3128", "no_proxy": "intranet,localhost", "KERAS_BACKEND": "jax"}
    set_libraries_up(environment)
    assert environment["no_proxy"] == "intranet,localhost,127.0.0.1,::1"
    assert environment["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert environment["KERAS_BACKEND"] == "tensorflow"


def test_without_a_proxy_there_is_no_exception_from_it() -> None:
    environment: dict[str, str] = {}
    set_libraries_up(environment)
    assert environment == {"KERAS_BACKEND": "tensorflow"}


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_size_of_the_terminal_that_is_no_number_is_none(name: str) -> None:
    for value, kept in (("80", True), ("\N{SUPERSCRIPT TWO}", False), ("wide", False), ("", False), ("-1", False)):
        environment = {name: value}
        set_libraries_up(environment)
        assert (name in environment) == kept, value


_PRINTS = """
import sys
from crackgate_cli.environment import open_closed_streams
open_closed_streams()
with open(sys.argv[1], "w") as file:
    print("for nobody", flush=True)
    print("for nobody", file=sys.stderr, flush=True)
    file.write(f"{file.fileno()} {sys.stdin.read()!r}")
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["in", "out", "error", "all"])
def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path: Path, closed: str) -> None:
    file = tmp_path / "file"
    command = f'"$0" -c "$1" "$2" {closed}'
    subprocess.run(
        ["sh", "-c", command, sys.executable, _PRINTS, str(file)],
        check=True,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    number, read = file.read_text().split()
    assert int(number) > 2 and read == "''"
