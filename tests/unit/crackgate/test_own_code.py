"""Functions of the user's own: where they are found, and the digest of their sources."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crackgate.config.configuration import ConfigError, load_config
from crackgate.own_code import OwnCodeError, call_own, digest_own, import_own

FIELD = "train.backbone"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return write


def _digest(name: str) -> str:
    return digest_own({FIELD: name})[0]


def test_finds_a_module_in_the_current_folder_and_in_packages_without_init(write: Callable[[str, str], None]) -> None:
    write("found_here.py", "def double(number):\n    import found_beside\n\n    return 2 * number + found_beside.ONE\n")
    write("found_beside.py", "ONE = 1\n")
    write("found_package/inner.py", "from found_beside import ONE\n\n\ndef build():\n    return ONE\n")
    assert call_own(FIELD, "found_here:double", number=3) == 7
    assert call_own(FIELD, "found_package.inner:build") == 1


@pytest.mark.parametrize("use", [import_own, lambda field, name: digest_own({field: name})])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "absent_module:build",
            r"there is no module 'absent_module' in the current folder \(.*\), and it is not inst",
        ),
        ("lies_here.absent:build", r"there is no module 'lies_here\.absent'"),
        ("trainer.absent:build", "crackgate's own package 'trainer' has no such module: rename yours"),
        ("no_python:build", "cannot be imported, it raised SyntaxError"),
    ],
)
def test_says_where_it_looked(
    use: Callable[[str, str], object], name: str, said: str, write: Callable[[str, str], None]
) -> None:
    write("lies_here/__init__.py", "")
    write("no_python.py", "def\n")
    with pytest.raises(OwnCodeError, match=rf"^train\.backbone: .*{said}"):
        use(FIELD, name)


def test_names_a_package_that_the_module_lacks(write: Callable[[str, str], None]) -> None:
    write("asks_for_more.py", "import no_such_package\n")
    with pytest.raises(OwnCodeError, match="raised ModuleNotFoundError: No module named 'no_such_package'"):
        import_own(FIELD, "asks_for_more:build")


def test_the_digest_covers_what_the_module_imports_and_reads(write: Callable[[str, str], None]) -> None:
    write("digested/__init__.py", "")
    write("digested/model.py", 'from digested import blocks\n\nWEIGHTS = "small.h5"\n')
    write("digested/blocks.py", "WIDTH = 8\n")
    write("digested/small.h5", "1")
    write("digested/other.py", "")
    digests = [_digest("digested.model:build")]
    for file, changes in (("blocks.py", True), ("small.h5", True), ("other.py", False), ("model.py", True)):
        with Path("digested", file).open("a", encoding="utf-8") as opened:
            opened.write("\n")
        digests.append(_digest("digested.model:build"))
        assert (digests[-1] != digests[-2]) == changes, file


def test_the_digest_does_not_depend_on_the_folder(
    write: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("moved_module.py", "import json\n")
    before = _digest("moved_module:build")
    (tmp_path / "elsewhere").mkdir()
    Path("moved_module.py").rename(tmp_path / "elsewhere" / "moved_module.py")
    monkeypatch.chdir("elsewhere")
    assert _digest("moved_module:build") == before


def test_an_installed_module_counts_by_its_version(write: Callable[[str, str], None]) -> None:
    write("anything.py", "")
    first, second = _digest("keras_tuner:build"), _digest("keras_tuner.tuners:build")
    assert first == second != _digest("anything:build")


@pytest.mark.parametrize("field", ["backbone", "augmentation"])
def test_a_name_of_another_form_is_refused(field: str) -> None:
    for name in ("module:", ":build", "my models:build", "module:a.b", "module/file.py:build", "a:b:c"):
        with pytest.raises(ConfigError, match=rf"^train\.{field}: received .*written package\.module:function"):
            load_config(None, [f"train.{field}={name}"])
    assert getattr(load_config(None, [f"train.{field}=my_models.small:build"]).train, field) == "my_models.small:build"


@pytest.mark.parametrize(
    ("received", "hint"),
    [("ResNet", "did you mean ResNet50 or"), ("mobilenetv2", "did you mean MobileNetV2"), ("zzz", "allowed are eff")],
)
def test_an_unknown_backbone_is_refused_with_names_like_it(received: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.backbone: received '{received}': {hint}"):
        load_config(None, [f"train.backbone={received}"])
