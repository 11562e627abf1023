"""`crackgate kubeflow check` with real clients, against servers that speak Kubeflow's and Kubernetes' interfaces."""

import base64
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from crackgate_cli.main import app
from tests.helpers import kfp_api, kubernetes_api

kfp = pytest.importorskip("kfp")

STORE = ("MLMD_HOST", "MLMD_DATABASE", "MLMD_USER", "MLMD_PASSWORD")


@pytest.fixture(scope="module")
def needy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of one task that mounts and pulls all that ours may."""
    from kfp import compiler, components, dsl, kubernetes

    task_text = "name: report\nimplementation: {container: {image: registry.example.com/crackgate, command: [echo]}}"

    @dsl.pipeline(name="needy")
    def needy() -> None:
        task = components.load_component_from_text(task_text)()
        kubernetes.mount_pvc(task, "crackgate-workspace", "/workspace")
        kubernetes.use_secret_as_volume(task, "crackgate-mlmd", "/etc/crackgate/mlmd", optional=True)
        kubernetes.use_secret_as_volume(task, "crackgate-signing", "/etc/crackgate/signing", optional=True)
        kubernetes.use_secret_as_volume(task, "crackgate-bucket", "/etc/crackgate/data", optional=True)
        kubernetes.set_image_pull_secrets(task, ["registry"])

    file = tmp_path_factory.mktemp("needy") / "pipeline.yaml"
    compiler.Compiler().compile(needy, str(file))
    return file


def secret(*keys: str, kind: str = "Opaque", **values: str) -> dict[str, Any]:
    data = {key: values.get(key, "x") for key in keys}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "type": kind, "data": encoded}


ELSEWHERE = secret("MLMD_HOST", "MLMD_USER", MLMD_HOST="db.of.another")


def cluster(namespace: str = "kubeflow", account: str = "pipeline-runner", **changes: Any) -> dict[str, Any]:
    """A cluster that has everything, by the objects' paths, but for `changes` by the names of objects."""
    objects: dict[str, Any] = {
        "persistentvolumeclaims/crackgate-workspace": {"status": {"phase": "Bound"}, "spec": {}},
        "secrets/crackgate-mlmd": secret(*STORE, MLMD_HOST="crackgate-mlmd"),
        "secrets/crackgate-signing": secret("release.key"),
        "secrets/crackgate-bucket": secret("AWS_ACCESS_KEY_ID"),
        "secrets/registry": secret(".dockerconfigjson", kind="kubernetes.io/dockerconfigjson"),
        "endpoints/crackgate-mlmd": {"subsets": [{"addresses": [{"ip": "10.0.0.7"}]}]},
        f"serviceaccounts/{account}": {"metadata": {"name": account}},
    }
    by_name = {key.replace("/", "_").replace("-", "_"): key for key in objects}
    objects |= {by_name[name]: found for name, found in changes.items()}
    return {f"{namespace}/{key}": found for key, found in objects.items()}


def check(file: Path, folder: Path, objects: dict[str, Any], *options: object, **api: Any) -> Result:
    kubeconfig = folder / "kubeconfig"
    with kfp_api.serving([], **api) as kubeflow, kubernetes_api.serving(objects, kubeconfig):
        arguments = ["kubeflow", "check", str(file), "--host", kubeflow.url, *map(str, options)]
        return CliRunner().invoke(app, arguments, env={"KUBECONFIG": str(kubeconfig)})


def test_a_cluster_that_has_everything(needy_file: Path, tmp_path: Path) -> None:
    result = check(needy_file, tmp_path, cluster())
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if not line.startswith("ok ")]
    # Nobody but a node can tell.
    assert [line.split()[:3] for line in lines] == [["unchecked", "the", "image"]]
    secrets = ("crackgate-mlmd", "crackgate-signing", "crackgate-bucket", "registry")
    for name in ("2.16.0", "crackgate-workspace", *secrets, "pipeline-runner"):
        assert any(name in line for line in result.output.splitlines() if line.startswith("ok ")), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secrets_crackgate_signing": 404}, "the Secret 'crackgate-signing' in 'kubeflow' is not there"),
        ({"secrets_crackgate_signing": secret()}, "has no key: add what docs/kubeflow.md shows"),
        ({"secrets_crackgate_bucket": 404}, "the Secret 'crackgate-bucket' in 'kubeflow' is not there"),
        (
            {"secrets_crackgate_mlmd": secret("MLMD_HOST", "MLMD_USER", MLMD_HOST="db.of.another")},
            "lacks MLMD_DATABASE, MLMD_PASSWORD: add",
        ),
        ({"persistentvolumeclaims_crackgate_workspace": 404}, "the claim 'crackgate-workspace' in 'kubeflow' is not"),
        ({"persistentvolumeclaims_crackgate_workspace": {"status": {"phase": "Lost"}}}, "has lost its volume"),
        ({"secrets_registry": secret("password")}, "has the type 'Opaque': make it with 'kubectl create secret docker"),
        (
            {"endpoints_crackgate_mlmd": {"subsets": None}},
            "store's Service 'crackgate-mlmd' in 'kubeflow' has no pod",
        ),
        ({"serviceaccounts_pipeline_runner": 404}, "the service account 'pipeline-runner' in 'kubeflow' is not there"),
    ],
    ids=["secret", "empty", "bucket", "keys", "claim", "lost", "type", "store", "account"],
)
def test_what_is_missing_is_said_with_what_to_do(
    needy_file: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    result = check(needy_file, tmp_path, cluster(**changes))
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("missing ")]
    assert said in line


def test_what_cannot_be_asked_is_unchecked_and_nobody_is_accused(needy_file: Path, tmp_path: Path) -> None:
    elsewhere = secret(*STORE, MLMD_HOST="db.example.com")
    result = check(needy_file, tmp_path, cluster(secrets_registry=403, secrets_crackgate_mlmd=elsewhere))
    assert result.exit_code == 0, result.output
    unchecked = [line for line in result.output.splitlines() if line.startswith("unchecked ")]
    assert len(unchecked) == 3
    assert "this user may not look at it" in unchecked[0] and "'db.example.com'" in unchecked[1]


@pytest.mark.parametrize("content", [None, "a: [", "clusters: 3", ""], ids=["none", "no-yaml", "no-list", "empty"])
def test_without_a_usable_kubeconfig_kubernetes_is_unchecked(
    needy_file: Path, tmp_path: Path, content: str | None
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    with kfp_api.serving([]) as kubeflow:
        arguments = ["kubeflow", "check", str(needy_file), "--host", kubeflow.url]
        result = CliRunner().invoke(app, arguments, env={"KUBECONFIG": str(kubeconfig)})
    assert result.exit_code == 0, result.output
    assert "Kubernetes cannot be asked for crackgate-workspace, crackgate-mlmd, crackgate-signing" in result.output
    assert "no usable kubeconfig" in result.output


def test_a_profile_has_its_own_namespace_and_service_account(needy_file: Path, tmp_path: Path) -> None:
    profiles = {"Bearer good": "team"}
    known = ("--namespace", "team", "--existing-token", "good")
    result = check(needy_file, tmp_path, cluster("team", "default-editor"), *known, profiles=profiles)
    assert result.exit_code == 0 and "'default-editor' in 'team'" in result.output, result.output

    # A stranger to Kubeflow still learns what Kubernetes has.
    result = check(needy_file, tmp_path, cluster("team", "default-editor"), "--namespace", "team", profiles=profiles)
    assert result.exit_code == 2 and "does not know who asks" in result.output
    assert "ok         the claim 'crackgate-workspace' in 'team'" in result.output


@pytest.mark.parametrize("version", ["2.13.1", "2.18.0"])
def test_another_version_of_kubeflow_is_said(needy_file: Path, tmp_path: Path, version: str) -> None:
    result = check(needy_file, tmp_path, cluster(), version=version)
    assert result.exit_code == 2 and f"is {version}, and crackgate's file is for 2.14 to 2.17" in result.output


def test_a_pipeline_that_mounts_nothing_needs_nothing(tmp_path: Path) -> None:
    from kfp import compiler, components

    text = "name: report\nimplementation: {container: {image: python, command: [echo]}}"
    compiler.Compiler().compile(components.load_component_from_text(text), str(tmp_path / "pipeline.yaml"))
    result = check(tmp_path / "pipeline.yaml", tmp_path, cluster())
    assert result.exit_code == 0 and "Secret" not in result.output and "claim" not in result.output, result.output
