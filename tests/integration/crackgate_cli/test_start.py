"""A release with a stored network answers without TensorFlow; without one, or when asked to, it answers with it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.helpers.asking import b64, example, newest
from tests.helpers.service_process import running_service

TENSORFLOW, *_ = importlib.util.find_spec("tensorflow").submodule_search_locations
# Runs the command line, and then tells which of the heavy packages it imported.
_PROGRAM = """
import sys
from crackgate_cli.main import app
try:
    app(sys.argv[1:])
finally:
    heavy = {"tensorflow", "keras", "tfx", "apache_beam", "tensorflow_serving"}
    print("imported:", *sorted(heavy & {name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("photographs") / "dark.jpg"
    Image.new("RGB", (300, 260), (20, 30, 40)).save(file)
    return file


@pytest.fixture(scope="module")
def version(serving_dir: Path) -> str:
    return str(serving_dir / str(newest(serving_dir)))


def run(*arguments: str) -> tuple[str, list[str]]:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True)
    *_, imported = ended.stderr.strip().splitlines()
    return ended.stdout, imported.removeprefix("imported:").split()


def test_predict_imports_no_tensorflow(version: str, photograph: Path) -> None:
    said, imported = run("predict", "--model", version, str(photograph), "--format", "csv")
    assert "Positive" in said and imported == []


def test_inspect_imports_no_tensorflow(version: str, photograph: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    _, imported = run("inspect", "--model", version, str(photograph), "--output", str(output), "--tile", "100")
    assert (output / "index.html").is_file() and imported == []


def test_predict_answers_alike_with_tensorflow(version: str, photograph: Path) -> None:
    arguments = ("predict", "--model", version, str(photograph), "--format", "csv")
    fast, _ = run(*arguments)
    said, imported = run(*arguments, "--engine", "tensorflow")
    assert "tensorflow" in imported
    (fast_names, fast_row), (names, row) = (text.splitlines() for text in (fast, said))
    assert fast_names == names
    assert fast_row.split(",")[:2] == row.split(",")[:2]
    assert float(fast_row.split(",")[2]) == pytest.approx(float(row.split(",")[2]), abs=1e-6)


def test_serve_answers_over_http_without_tensorflow(serving_dir: Path, photograph: Path, tmp_path: Path) -> None:
    with running_service(tmp_path, "--serving", str(serving_dir)) as service:
        service.wait_until(ready=True, version=newest(serving_dir))
        image = photograph.read_bytes()
        for signature, value in (("serving_default", example(image)), ("predict_images", image)):
            body = {"signature_name": signature, "instances": [b64(value)]}
            answer = httpx.post(f"{service.url}/v1/models/crackgate:predict", json=body).raise_for_status().json()
            assert answer["predictions"][0]["label"] == "Positive"
        assert httpx.get(f"{service.url}/v1/models/crackgate").raise_for_status().json()["model_version_status"]
        heat_map = httpx.post(f"{service.url}/heatmap", content=image).raise_for_status().json()
        assert heat_map["map"]["positive"] > 0
        maps = Path(f"/proc/{service.process.pid}/maps").read_text()
        assert "/openvino/" in maps and TENSORFLOW not in maps
