"""The manifests as kustomize builds them, against the schemas that the API server would use: `make check-manifests`.

What is needed for that comes from package registries into .tools/manifests, once: kustomize and kubectl-validate (with
Kubernetes' own schemas inside), Flink's custom resource, and KServe's client classes.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
import types
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models

from tests.helpers.manifests import MANIFESTS
from tests.helpers.openapi_models import problems

pytestmark = pytest.mark.manifests

CACHE = MANIFESTS.parents[1] / ".tools" / "manifests"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
KUBECTL_VALIDATE = "sigs.k8s.io/kubectl-validate@v0.0.4"
FLINK_OPERATOR = "1.10.0"
FLINK_JAR = (
    "https://repo1.maven.org/maven2/org/apache/flink/flink-kubernetes-operator-api/"
    f"{FLINK_OPERATOR}/flink-kubernetes-operator-api-{FLINK_OPERATOR}.jar"
)
FLINK_CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
KSERVE = "kserve==0.21.0"
# The oldest and the newest that kubectl-validate has.
KUBERNETES = ("1.27", "1.30")
BUILDS = ("overlays/crackgate", "overlays/kubeflow", "training", "kserve")


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest) -> str:
    return _run(_go_tool("kustomize", KUSTOMIZE), "build", str(MANIFESTS / request.param))


@pytest.fixture(scope="module")
def custom_resources() -> Path:
    """A folder with Flink's custom resource definition."""
    folder = CACHE / f"flink-{FLINK_OPERATOR}"
    file = folder / "flinkdeployments.yaml"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        jar = CACHE / "flink-operator.jar"
        _fetched(FLINK_JAR, jar)
        with zipfile.ZipFile(jar) as content:
            file.write_bytes(content.read(FLINK_CRD))
    return folder


# KServe's custom resource definition is in no registry; its classes are, see below.
@pytest.mark.parametrize("built", BUILDS[:-1], indirect=True)
@pytest.mark.parametrize("version", KUBERNETES)
def test_what_kustomize_builds_is_valid(built: str, version: str, custom_resources: Path, tmp_path: Path) -> None:
    file = tmp_path / "built.yaml"
    file.write_text(built)
    validate = _go_tool("kubectl-validate", KUBECTL_VALIDATE)
    output = _run(validate, "--version", version, "--local-crds", str(custom_resources), str(file))
    assert "OK" in output


@pytest.mark.parametrize(
    ("correct", "wrong", "message"),
    [
        ("readOnlyRootFilesystem", "readOnlyRootFileSystem", "readOnlyRootFileSystem: Invalid value"),
        ("flinkVersion: v1_19", "flinkVersion: v1_99", 'spec.flinkVersion: Unsupported value: "v1_99"'),
        ("containerPort: 50000", "containerPort: fifty", "must be of type integer"),
    ],
)
def test_the_validation_refuses_mistakes(
    correct: str, wrong: str, message: str, custom_resources: Path, tmp_path: Path
) -> None:
    built = _run(_go_tool("kustomize", KUSTOMIZE), "build", str(MANIFESTS / "overlays" / "crackgate"))
    assert correct in built
    file = tmp_path / "broken.yaml"
    file.write_text(built.replace(correct, wrong))
    validate = _go_tool("kubectl-validate", KUBECTL_VALIDATE)
    refused = subprocess.run(
        [validate, "--local-crds", str(custom_resources), str(file)], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0 and message in refused.stdout + refused.stderr


def test_images_have_a_registry_everywhere(built: str) -> None:
    images = re.findall(r"^\s*(?:- )?image: (.+)$", built, re.MULTILINE)
    assert all("/" in image and ":" in image.rpartition("/")[2] for image in images), images


def test_kserve_s_own_classes_know_the_inference_service() -> None:
    kserve = _kserve_models()

    def find_model(name: str) -> Any:
        return getattr(kserve, name, None) or getattr(models, name)

    (service,) = yaml.safe_load_all(_run(_go_tool("kustomize", KUSTOMIZE), "build", str(MANIFESTS / "kserve")))
    assert list(problems(service, "V1beta1InferenceService", find_model)) == []
    service["spec"]["predictor"]["model"]["storageURI"] = "pvc://elsewhere"
    assert [*problems(service, "V1beta1InferenceService", find_model)] == [
        ".spec.predictor.model.storageURI: V1beta1ModelSpec has no such field"
    ]


def _kserve_models() -> types.ModuleType:
    """KServe's generated classes alone; the rest of the package wants a server's dependencies."""
    wheels = CACHE / KSERVE
    if not list(wheels.glob("kserve-*.whl")):
        tools = CACHE / "pip"
        if not (tools / "bin" / "pip").exists():
            _run(sys.executable, "-m", "venv", str(tools))
        try:
            _run(str(tools / "bin" / "pip"), "download", "--no-deps", "--quiet", "--dest", str(wheels), KSERVE)
        except AssertionError as error:
            pytest.skip(f"{KSERVE} could not be fetched: {error}")
    (wheel,) = wheels.glob("kserve-*.whl")
    package = types.ModuleType("kserve")
    package.__path__ = [f"{wheel}/kserve"]
    sys.modules["kserve"] = package
    return importlib.import_module("kserve.models")


def _go_tool(name: str, module: str) -> str:
    """Path of a tool, installed at its first use."""
    if (found := shutil.which("go")) is None:
        pytest.skip(f"go is missing: {module} is installed with it")
    folder = CACHE / module.replace("/", "_")
    if not (folder / name).exists():
        environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-trimpath"}
        installed = subprocess.run(
            [found, "install", module], env=environment, capture_output=True, text=True, check=False
        )
        if installed.returncode != 0:
            pytest.skip(f"{module} could not be installed: {installed.stderr[-500:]}")
    return str(folder / name)


def _fetched(address: str, file: Path) -> None:
    try:
        with urllib.request.urlopen(address, timeout=60) as stream:
            file.write_bytes(stream.read())
    except OSError as error:
        pytest.skip(f"{address} could not be fetched: {error}")


def _run(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr
