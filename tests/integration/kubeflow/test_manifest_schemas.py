"""The manifests as kustomize builds them, against the schemas that the API server would use: `make check-manifests`.

What is needed for that comes from package registries into .tools/manifests, once: kustomize and kubectl-validate (with
Kubernetes' own schemas inside), and the custom resources of Flink, Istio, Kubeflow Trainer and KServe.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.manifests import MANIFESTS
from tools.image_digests import FILES, DigestError, digest_of, pin

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
# Go modules that hold custom resource definitions, and where.
CRD_MODULES = {
    "istio.io/api@v1.27.0": "kubernetes/customresourcedefinitions.gen.yaml",
    "github.com/kubeflow/trainer/v2@v2.0.0": "manifests/base/crds/trainer.kubeflow.org_*.yaml",
    "github.com/kserve/kserve@v0.15.0": "config/crd/full/serving.kserve.io_inferenceservices.yaml",
}
CRANE = "github.com/google/go-containerregistry/cmd/crane@v0.20.3"
# The oldest and the newest that kubectl-validate has.
KUBERNETES = ("1.27", "1.30")
PROFILE = MANIFESTS / "overlays" / "profile"
BUILDS = (
    "overlays/kubeflow",
    "overlays/profile",
    "overlays/mirrored",
    "mirror",
    "flink",
    "training",
    "trainjob",
    "kserve",
    "shell",
)


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest) -> str:
    return _run(_go_tool("kustomize", KUSTOMIZE), "build", str(MANIFESTS / request.param))


@pytest.fixture(scope="module")
def custom_resources() -> Path:
    """A folder with the definitions of Flink, Istio, Kubeflow Trainer and KServe."""
    folder = CACHE / "crds"
    folder.mkdir(parents=True, exist_ok=True)
    flink = folder / f"flink-{FLINK_OPERATOR}.yaml"
    if not flink.exists():
        jar = CACHE / "flink-operator.jar"
        _fetched(FLINK_JAR, jar)
        with zipfile.ZipFile(jar) as content:
            flink.write_bytes(content.read(FLINK_CRD))
    for module, pattern in CRD_MODULES.items():
        for file in _go_module(module).glob(pattern):
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("version", KUBERNETES)
def test_what_kustomize_builds_is_valid(built: str, version: str, custom_resources: Path, tmp_path: Path) -> None:
    file = tmp_path / "built.yaml"
    file.write_text(built)
    validate = _go_tool("kubectl-validate", KUBECTL_VALIDATE)
    output = _run(validate, "--version", version, "--local-crds", str(custom_resources), str(file))
    assert "OK" in output


@pytest.mark.parametrize(
    ("build", "correct", "wrong", "message"),
    [
        ("flink", "readOnlyRootFilesystem", "readOnlyRootFileSystem", "readOnlyRootFileSystem: Invalid value"),
        ("flink", "flinkVersion: v1_19", "flinkVersion: v1_99", 'spec.flinkVersion: Unsupported value: "v1_99"'),
        ("flink", "containerPort: 50000", "containerPort: fifty", "must be of type integer"),
        ("trainjob", "numNodes: 2", "numNodes: two", "must be of type integer"),
        ("overlays/profile", "action: DENY", "action: REFUSE", 'Unsupported value: "REFUSE"'),
        ("kserve", "storageUri", "storageURI", "storageURI: Invalid value"),
    ],
)
def test_the_validation_refuses_mistakes(
    build: str, correct: str, wrong: str, message: str, custom_resources: Path, tmp_path: Path
) -> None:
    built = _run(_go_tool("kustomize", KUSTOMIZE), "build", str(MANIFESTS / build))
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


def test_no_pod_gets_a_sidecar(built: str) -> None:
    documents = list(yaml.safe_load_all(built))
    templates = [found for document in documents for found in _templates(document)]
    assert templates or not any("template" in document.get("spec", {}) for document in documents)
    assert all(labels.get("sidecar.istio.io/inject") == "false" for labels in templates)


def test_every_pod_s_account_pulls_with_the_secret(tmp_path: Path) -> None:
    manifests = os.path.relpath(MANIFESTS, tmp_path.resolve())
    accounts = {}
    for build in BUILDS:
        content = {"resources": [f"{manifests}/{build}"], "components": [f"{manifests}/pull-secret"]}
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
        built = _run(_go_tool("kustomize", KUSTOMIZE), "build", str(tmp_path))
        for found in yaml.safe_load_all(built):
            if found["kind"] == "ServiceAccount":
                accounts[found["metadata"]["name"]] = found["imagePullSecrets"]
        assert set(re.findall(r"serviceAccount(?:Name)?: (\S+)", built)) <= {*accounts, "default-editor"}, build
    assert set(accounts) == {"crackgate", "crackgate-flink"}
    assert all(secrets == [{"name": "crackgate-registry"}] for secrets in accounts.values())


def test_only_the_profile_s_tasks_reach_the_store_in_an_ambient_mesh() -> None:
    documents = list(yaml.safe_load_all(_run(_go_tool("kustomize", KUSTOMIZE), "build", str(PROFILE))))
    (policy,) = (found for found in documents if found["kind"] == "AuthorizationPolicy")
    (rule,) = policy["spec"]["rules"]
    namespace = policy["metadata"]["namespace"]
    assert rule["from"] == [{"source": {"notPrincipals": [f"cluster.local/ns/{namespace}/sa/default-editor"]}}]
    tunnelled = {
        found["metadata"]["name"]
        for found in documents
        if found["kind"] == "NetworkPolicy"
        and any(port["port"] == 15008 for rule in found["spec"].get("ingress", ()) for port in rule.get("ports", ()))
    }
    assert tunnelled == {"crackgate-mlmd", "crackgate-serve", "crackgate-tensorflow-serving"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an image registry that holds `debian:bookworm-slim` and `library/mariadb:10.11`."""
    crane = _go_tool("crane", CRANE)
    monkeypatch.setenv("PATH", f"{Path(crane).parent}{os.pathsep}{os.environ['PATH']}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(__file__, "file")
    with subprocess.Popen([crane, "registry", "serve", "--address", address], stderr=subprocess.DEVNULL) as server:
        try:
            for image in ("debian:bookworm-slim", "library/mariadb:10.11"):
                command = [crane, "append", "-f", str(tmp_path / "layer.tar"), "-t", f"{address}/{image}"]
                for _ in range(50):
                    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                        break
                    time.sleep(0.2)
            yield address
        finally:
            server.terminate()


def test_images_are_named_by_the_digest_that_their_registry_tells(registry: str) -> None:
    old = "sha256:" + "0" * 64
    dockerfile = f"ARG BASE={registry}/debian:bookworm-slim\nFROM ${{BASE}}\nARG BASE\n"
    pinned = pin(dockerfile, digest_of)
    new = digest_of(f"{registry}/debian:bookworm-slim")
    assert pinned == dockerfile.replace("bookworm-slim\n", f"bookworm-slim@{new}\n", 1)
    # A digest is renewed, the tag beside it is asked for.
    assert pin(pinned.replace(new, old), digest_of) == pinned

    own = "  - name: crackgate\n    newName: registry.example.com/crackgate\n    newTag: 0.1.0\n"
    entry = f'  - name: mariadb\n    newName: {registry}/library/mariadb\n    newTag: "10.11"\n'
    digest = digest_of(f"{registry}/library/mariadb:10.11")
    assert pin(own + entry, digest_of) == f"{own}{entry}    digest: {digest}\n"
    assert pin(f"{own}{entry}    digest: {old}\n", digest_of) == f"{own}{entry}    digest: {digest}\n"
    with pytest.raises(DigestError, match=r"mariadb:11: its registry tells no digest.*where it can be reached"):
        pin(entry.replace("10.11", "11"), digest_of)


def test_every_image_of_others_is_found_and_stays_valid_with_its_digest() -> None:
    asked: list[str] = []

    def counted(image: str) -> str:
        asked.append(image)
        return "sha256:" + f"{len(asked):064}"

    for file in FILES:
        assert pin(file.read_text(), counted).count("sha256:") >= 1
    images = yaml.safe_load((MANIFESTS / "images" / "kustomization.yaml").read_text())["images"]
    assert len(asked) == len(images) and all(":" in image and "@" not in image for image in asked)


def _templates(content: Any) -> Iterator[dict[str, str]]:
    """Labels of the pods that something makes, at any depth."""
    if isinstance(content, list):
        for each in content:
            yield from _templates(each)
    elif isinstance(content, dict):
        spec = content.get("spec", {})
        if content.get("kind") == "FlinkDeployment":
            yield spec["podTemplate"]["metadata"]["labels"]
        elif content.get("kind") == "InferenceService":
            yield spec["predictor"]["labels"]
        elif "containers" in spec:
            yield content["metadata"]["labels"]
        else:
            yield from _templates(list(content.values()))


def _go_module(module: str) -> Path:
    """Folder of a module's files."""
    if (found := shutil.which("go")) is None:
        pytest.skip(f"go is missing: {module} is fetched with it")
    fetched = subprocess.run([found, "mod", "download", "-json", module], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(f"{module} could not be fetched: {fetched.stdout[-500:]}")
    return Path(json.loads(fetched.stdout)["Dir"])


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
