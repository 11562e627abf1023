"""The image's extra `gpu`: what is locked is what the locked TensorFlow asks for with CUDA."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]


def _locked() -> dict[str, str]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return {package["name"]: package.get("version", "") for package in packages}


def _asked_by_tensorflow() -> list[Requirement]:
    requirements = importlib.metadata.requires("tensorflow") or ()
    return [Requirement(each) for each in requirements if "and-cuda" in each]


def test_the_lock_has_the_cuda_libraries_that_its_tensorflow_asks_for() -> None:
    locked = _locked()
    if importlib.metadata.version("tensorflow") != locked["tensorflow"]:
        pytest.skip("another TensorFlow is installed than the locked one")
    asked = _asked_by_tensorflow()
    assert len(asked) >= 10
    assert [str(each) for each in asked if not each.specifier.contains(locked.get(each.name, "0"))] == []


def test_the_extra_names_each_of_them() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {Requirement(each).name for each in extras["gpu"]} == {each.name for each in _asked_by_tensorflow()}
