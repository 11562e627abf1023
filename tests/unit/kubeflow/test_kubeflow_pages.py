"""Every command of the pages about Kubeflow, Kubernetes and the image: it parses, and names what is there."""

import ast
import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.core
import typer.main
from typer.exceptions import TyperException

from crackgate.config.configuration import load_config
from crackgate_cli.main import app
from tests.helpers.manifests import MANIFESTS, load, of_kind

ROOT = MANIFESTS.parents[1]
PAGES = ("kubeflow", "kubernetes", "image")
# Everybody's tools. What is not here, below or in the repository does not exist.
TOOLS = {
    "apt-get",
    "aws",
    "base64",
    "cat",
    "curl",
    "du",
    "export",
    "git",
    "mkdir",
    "mv",
    "openssl",
    "podman",
    "tar",
    "uv",
    "wget",
    ".",
}
# Of Kubeflow Pipelines and Kubernetes.
FOREIGN_RESOURCES = {
    "applications.app.k8s.io",
    "crackgate-registry",
    "crackgate-signing",
    "default-editor",
    "kubeflow",
    "ml-pipeline",
    "ml-pipeline-ui",
}
OWN_KINDS = ("Pod", "Job", "Service", "Deployment", "StatefulSet", "Secret", "TrainJob")


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, kind, body in found if kind == language]


def _lines(page: str) -> Iterator[str]:
    """Lines that a reader types; a console shows them after a "$"."""
    for block in _blocks(page, "console"):
        joined = re.sub(r"\\\n\s*", "", block)
        yield from (line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ "))
    for block in _blocks(page, ""):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()


def _commands(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, those in $(...) and after `--` too, each as its words."""
    for inner in re.findall(r"\$\(([^()]*)\)", line):
        yield from _commands(inner)
    command: list[str] = []
    for word in [*shlex.split(re.sub(r"\$\([^()]*\)", "given", line), comments=True), ";"]:
        if word not in ("|", "&&", "&", ";"):
            command.append(word)
            continue
        while command and re.fullmatch(r"[A-Z_]+=\S*", command[0]):
            command.pop(0)
        if "--" in command:
            yield command[command.index("--") + 1 :]
            command = command[: command.index("--")]
        if command:
            yield command
        command = []


COMMANDS = [
    pytest.param(command, id=f"{page}-{number}-{command[0].rpartition('/')[2]}")
    for page in PAGES
    for number, command in enumerate(command for line in _lines(page) for command in _commands(line))
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_pages_exists_and_parses(command: list[str]) -> None:
    name, *arguments = command
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    if name == "crackgate":
        _parse(arguments)
    elif name == "kubectl":
        _check_kubectl(arguments)
    elif name == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert next(word for word in arguments if "=" not in word) in targets
    elif name == "sh":
        script = arguments[arguments.index("-c") + 1]
        assert all(words[0] in TOOLS for words in _commands(script))
    elif name == "sed":
        assert arguments[0] == "-i" and all((ROOT / file).is_file() for file in arguments[2:])
    elif "/" in name:
        assert (ROOT / name).stat().st_mode & 0o100
    else:
        assert name in TOOLS, name


def test_who_compiles_has_the_packages_of_the_image_and_no_others() -> None:
    build = (ROOT / "kubeflow" / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert "uv sync --frozen --no-dev " in build and "ARG EXTRAS=kubeflow\n" in build
    found = [words for line in _lines("kubeflow") for words in _commands(line) if words[:2] == ["uv", "sync"]]
    assert found and all(words[2:] == ["--frozen", "--no-dev", "--extra", "kubeflow"] for words in found)


def _parse(arguments: list[str]) -> None:
    """Has the real parser read the arguments of crackgate."""
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup):
        name, *arguments = arguments
        if name.startswith("--"):
            assert name in {option for parameter in command.params for option in parameter.opts} | {"--help"}
            return
        command = command.commands[name]
    command.make_context(command.name, arguments)


def _check_kubectl(arguments: list[str]) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    for option in ("-n", "--namespace"):
        if option in arguments:
            words.remove(arguments[arguments.index(option) + 1])
    if (flags := _flags_of_kubectl(words[0])) is not None:
        given = {word.partition("=")[0] for word in arguments if word.startswith("-") and word != "-"}
        assert given <= flags, given - flags
    if "-k" in arguments:
        folder = arguments[arguments.index("-k") + 1]
        if folder.startswith("github.com/kubeflow/pipelines/"):
            return
        assert (ROOT / folder / "kustomization.yaml").is_file()
        _build(folder)
        return
    known = {name for kind in OWN_KINDS for name in of_kind(kind)} | FOREIGN_RESOURCES
    known |= {secret["metadata"]["name"] for secret in load(MANIFESTS / "secrets.template.yaml")}
    for word in words[1:]:
        kind, slash, name = word.partition("/")
        if slash and kind.isalpha():
            assert name in known, word
    if words[0] in ("exec", "delete") or words[:2] in (["get", "secret"], ["create", "token"]):
        assert any(word in known for word in words[1:]), words


@cache
def _flags_of_kubectl(command: str) -> set[str] | None:
    """The options that kubectl takes with that command; None without kubectl."""
    if shutil.which("kubectl") is None:
        return None
    # Some have commands of their own.
    inner = {
        "create": [["create", "token"], *(["create", "secret", kind] for kind in ("generic", "docker-registry"))],
        "rollout": [["rollout", "status"], ["rollout", "restart"]],
    }
    helps = ["options"], *([*words, "--help"] for words in ([command], *inner.get(command, ())))
    texts = [subprocess.run(["kubectl", *words], capture_output=True, text=True, check=True).stdout for words in helps]
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", "".join(texts)))


@cache
def _build(folder: str) -> None:
    if shutil.which("kubectl") is not None:
        built = subprocess.run(
            ["kubectl", "kustomize", str(ROOT / folder)], capture_output=True, text=True, check=False
        )
        assert built.returncode == 0 and built.stdout, built.stderr


@pytest.mark.parametrize("page", PAGES)
def test_configurations_of_the_pages_are_read(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(_blocks(page, "toml")):
        tomllib.loads(block)
        (tmp_path / f"{number}.toml").write_text(block)
        load_config(tmp_path / f"{number}.toml")


def test_calls_of_the_pages_fit_what_is_called() -> None:
    kfp = pytest.importorskip("kfp")
    (block,) = _blocks("kubeflow", "python")
    names: dict[str, object] = {}
    calls = 0
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            names |= {alias.name: getattr(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Call):
            is_method = isinstance(node.func, ast.Attribute)
            called = getattr(kfp.Client, node.func.attr) if is_method else names[ast.unparse(node.func)]
            given = [None] * (len(node.args) + is_method)
            inspect.signature(called).bind(*given, **{str(each.arg): None for each in node.keywords})
            calls += 1
    assert calls >= 4


@pytest.mark.parametrize(
    "line",
    [
        "crackgate kubeflow submitt --host x",
        "crackgate rollback --serving-folder /serving",
        "kubectl apply -k kubeflow/manifests/nowhere",
        "kubectl -n kubeflow exec crackgate-box -- ls",
        "kubectl -n kubeflow rollout status deployment/crackgate-server",
        "make images",
        "kubeflow/manifests/wait.sh a b",
        "kubeflowctl apply",
        "sed -i s/a/b/ nowhere.yaml",
        "kubectl -n kubeflow exec crackgate-shell -- crackgate roll-back",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises((AssertionError, KeyError, TyperException, OSError)):
        for command in _commands(line):
            test_a_command_of_the_pages_exists_and_parses(command)
