"""The Kubernetes manifests: valid by Kubernetes' own schemas, safe, and at one with each other and with the code."""

import importlib.util
import ipaddress
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from kubernetes.client import models
from kubernetes.utils.quantity import parse_quantity

from crackgate.config.configuration import load_config
from crackgate_cli.main import app
from tests.helpers.manifests import MANIFESTS, PARTS, Pod, load, manifests, of_kind, pods
from tests.helpers.openapi_models import problems
from trainer.strategy import check_tf_config

PODS = list(pods())
CONTAINERS = [
    pytest.param(pod, container, id=f"{pod.owner} {container['name']}")
    for pod in PODS
    for container in pod.spec["containers"]
]
# The operator decides what it may use, and its start script writes into its own folder.
FLINK_ITSELF = "flink-main-container"
# Of pods that are not the project's.
FOREIGN_LABELS = {"pipeline/runid", "crackgate/client", "kubernetes.io/metadata.name"}
FOREIGN_NAMES = {"flink-kubernetes-operator", "istiod"}
# Nobody has to reach these.
UNREACHED = {"Job crackgate-volumes-check", "Pod crackgate-shell"}
# Of objects of operators; make check-manifests validates them.
OPERATORS_KINDS = {"FlinkDeployment", "InferenceService", "TrainJob", "TrainingRuntime", "AuthorizationPolicy"}


def _model_of(manifest: dict[str, Any]) -> str | None:
    group, _, version = manifest["apiVersion"].rpartition("/")
    name = f"{version.capitalize()}{manifest['kind']}"
    return name if group in ("", "apps", "batch", "policy", "networking.k8s.io") and hasattr(models, name) else None


@pytest.mark.parametrize(
    "manifest", [pytest.param(found, id=f"{found['kind']} {found['metadata']['name']}") for found in manifests()]
)
def test_kubernetes_own_kinds_are_valid(manifest: dict[str, Any]) -> None:
    model = _model_of(manifest)
    if model is None:
        assert manifest["kind"] in OPERATORS_KINDS
        return
    assert list(problems(manifest, model, lambda name: getattr(models, name))) == []


def test_the_validation_finds_what_the_api_server_would_refuse() -> None:
    def find(name: str) -> Any:
        return getattr(models, name)

    pod = {"containers": [{"name": "a", "image": "b", "ports": [{"containerPort": "80"}], "readonly": True}]}
    assert list(problems(pod, "V1PodSpec", find)) == [
        ".containers[0].ports[0].containerPort: '80' is no int",
        ".containers[0].readonly: V1Container has no such field",
    ]
    assert [*problems({"containers": [{}]}, "V1PodSpec", find)] == [
        ".containers[0]: Invalid value for `name`, must not be `None`"
    ]
    assert [*problems({"runAsUser": True}, "V1SecurityContext", find)] == [".runAsUser: True is no int"]


def test_every_file_belongs_to_a_kustomization() -> None:
    for folder in MANIFESTS.rglob("kustomization.yaml"):
        (kustomization,) = load(folder)
        named = {*kustomization.get("resources", ()), *kustomization.get("configurations", ())}
        named |= {patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch}
        for generated in kustomization.get("configMapGenerator", ()):
            named |= set(generated["files"])
        found = {file.name for file in folder.parent.iterdir() if file.is_file()} - {"kustomization.yaml"}
        assert {name for name in named if not name.startswith("..")} == found, folder
    for overlay in ("kubeflow", "profile"):
        (kustomization,) = load(MANIFESTS / "overlays" / overlay / "kustomization.yaml")
        assert {"../../base", "../../serving"} <= set(kustomization["resources"])


@pytest.mark.parametrize("pod", [pytest.param(pod, id=pod.owner) for pod in PODS])
def test_pods_keep_to_the_restricted_standard(pod: Pod) -> None:
    context = pod.spec["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] >= 999
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
    allowed = {"name", "persistentVolumeClaim", "emptyDir", "configMap", "secret"}
    assert all(set(volume) <= allowed for volume in pod.spec.get("volumes", ()))


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_containers_have_no_rights_and_bounded_resources(pod: Pod, container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
    assert context.get("runAsUser", pod.spec["securityContext"]["runAsUser"]) > 0
    if container["name"] == FLINK_ITSELF:
        return
    assert context["readOnlyRootFilesystem"] is True
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}
    # The mirror has nothing to ask: each of its requests has a time limit.
    asked = pod.owner.startswith(("Deployment", "StatefulSet")) and container["name"] != "mirror"
    if asked or container["name"] == "beam-worker-pool":
        assert {"startupProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("pod", [pytest.param(pod, id=pod.owner) for pod in PODS])
def test_no_pod_can_fill_its_node(pod: Pod) -> None:
    folders = [volume["emptyDir"] for volume in pod.spec.get("volumes", ()) if "emptyDir" in volume]
    assert all("sizeLimit" in folder for folder in folders)
    on_disk = sum(parse_quantity(folder["sizeLimit"]) for folder in folders if folder.get("medium") != "Memory")
    # The kubelet counts both against the pod, and evicts it.
    limits = [container.get("resources", {}).get("limits", {}) for container in pod.spec["containers"]]
    assert not on_disk or on_disk < sum(parse_quantity(limit.get("ephemeral-storage", 0)) for limit in limits)


def test_replicas_are_spread_over_nodes() -> None:
    replicated = [name for name, found in of_kind("Deployment").items() if found["spec"]["replicas"] > 1]
    assert replicated
    owners = {f"Deployment {name}" for name in replicated}
    for pod in PODS:
        if pod.owner not in owners and "taskManager" not in pod.owner and "InferenceService" not in pod.owner:
            continue
        (constraint,) = pod.spec["topologySpreadConstraints"]
        # A single node takes both.
        assert (
            constraint["topologyKey"] == "kubernetes.io/hostname"
            and constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        )
        if pod.owner in owners:
            assert _selected(constraint["labelSelector"]["matchLabels"]) == [pod]


@pytest.mark.parametrize(("address", "port"), [("169.254.20.10", 53), ("10.96.0.10", 53), ("fd00::a", 53)])
def test_names_are_found_with_node_local_dns(address: str, port: int) -> None:
    (rule,) = of_kind("NetworkPolicy")["crackgate-dns"]["spec"]["egress"]
    networks = [ipaddress.ip_network(peer["ipBlock"]["cidr"]) for peer in rule["to"] if "ipBlock" in peer]
    assert any(ipaddress.ip_address(address) in network for network in networks)
    assert not any(ipaddress.ip_address("8.8.8.8") in network for network in networks)
    assert {(found["protocol"], found["port"]) for found in rule["ports"]} >= {("UDP", port), ("TCP", port)}


def test_names_are_found_on_openshift() -> None:
    (rule,) = of_kind("NetworkPolicy")["crackgate-dns"]["spec"]["egress"]
    (expression,) = rule["to"][0]["namespaceSelector"]["matchExpressions"]
    assert set(expression["values"]) == {"kube-system", "openshift-dns"}
    assert {("UDP", 5353), ("TCP", 5353)} <= {(port["protocol"], port["port"]) for port in rule["ports"]}


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_whatever_a_container_refers_to_is_there(pod: Pod, container: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
    assert {mount["name"] for mount in container.get("volumeMounts", ())} <= {
        *volumes,
        *_claim_templates(pod),
    }
    for volume in volumes.values():
        if claim := volume.get("persistentVolumeClaim"):
            assert claim["claimName"] in of_kind("PersistentVolumeClaim")
        if config_map := volume.get("configMap"):
            assert config_map["name"] in _config_maps()
    secrets = {secret["metadata"]["name"]: secret["stringData"] for secret in load(MANIFESTS / "secrets.template.yaml")}
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        if reference := source.get("secretKeyRef"):
            assert reference["key"] in secrets[reference["name"]]
        if reference := source.get("configMapKeyRef"):
            assert reference["key"] in _config_maps()[reference["name"]]
    ports = {port["name"] for port in container.get("ports", ())}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for action in ("httpGet", "tcpSocket"):
            if action in container.get(probe, {}):
                assert container[probe][action]["port"] in ports
    # One of the project's own, which pull-secret/ gives the Secret; Flink's stands beside its pods.
    if not pod.owner.startswith("FlinkDeployment"):
        assert pod.spec["serviceAccountName"] in of_kind("ServiceAccount")


def test_flink_has_its_service_account_and_the_job_server_its_address() -> None:
    (cluster,) = of_kind("FlinkDeployment").values()
    assert cluster["spec"]["serviceAccount"] in of_kind("ServiceAccount")
    (job_server,) = of_kind("Deployment")["crackgate-beam-job-server"]["spec"]["template"]["spec"]["containers"]
    # The operator names the service of Flink's REST interface after the cluster.
    assert f"--flink-master={cluster['metadata']['name']}-rest:8081" in job_server["args"]


def test_selectors_find_pods_and_ports() -> None:
    for name, service in of_kind("Service").items():
        ports = _ports(_selected(service["spec"]["selector"]))
        assert all(port["targetPort"] in ports for port in service["spec"]["ports"]), name
    for budget in of_kind("PodDisruptionBudget").values():
        assert _selected(budget["spec"]["selector"]["matchLabels"])
    for name, workload in {**of_kind("Deployment"), **of_kind("StatefulSet")}.items():
        labels = workload["spec"]["selector"]["matchLabels"]
        assert [pod.owner for pod in _selected(labels)] == [f"{workload['kind']} {name}"]


def test_network_policies_name_pods_and_ports_that_exist() -> None:
    policies = of_kind("NetworkPolicy")
    for name, policy in policies.items():
        spec = policy["spec"]
        selected = _selected(spec["podSelector"]["matchLabels"])
        assert selected, name
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, ()):
                assert all(_known_peer(peer) for peer in rule.get(peers, ())), name
                named = {port["port"] for port in rule.get("ports", ()) if isinstance(port["port"], str)}
                assert named <= _ports(selected), name
    # Each pod that somebody has to reach is let in.
    reachable = {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name") for policy in policies.values()
    }
    for pod in PODS:
        if pod.labels and pod.owner not in UNREACHED:
            assert pod.labels["app.kubernetes.io/name"] in reachable, pod.owner


def test_images_are_named_in_one_place() -> None:
    (component,) = load(MANIFESTS / "images" / "kustomization.yaml")
    known = {image["name"] for image in component["images"]}
    assert all(image.get("newTag") or image.get("digest") for image in component["images"])
    used = {container["image"] for pod in PODS for container in pod.spec["containers"] if "image" in container}
    (cluster,) = of_kind("FlinkDeployment").values()
    assert used | {cluster["spec"]["image"]} == known
    project = tomllib.loads((MANIFESTS.parents[1] / "pyproject.toml").read_text())["project"]
    (own,) = (image for image in component["images"] if image["name"] == project["name"])
    assert own["newTag"] == project["version"]


@pytest.mark.parametrize(
    ("pod", "container"), [found for found in CONTAINERS if found.values[1].get("image") == "crackgate"]
)
def test_the_project_s_containers_run_commands_that_exist(pod: Pod, container: dict[str, Any]) -> None:
    command, *arguments = container["args"]
    if command == "crackgate":
        name, *options = arguments
        typer.main.get_command(app).commands[name].make_context(name, options)
    elif command == "python":
        assert arguments[0] == "-m" and importlib.util.find_spec(arguments[1]), pod.owner
    else:
        assert command in ("sh", "sleep")


def test_workers_of_a_training_are_named_and_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    job = of_kind("Job")["crackgate-training"]["spec"]
    pod = job["template"]["spec"]
    service = of_kind("Service")[pod["subdomain"]]["spec"]
    assert service["clusterIP"] == "None" and service["publishNotReadyAddresses"]
    hosts = _hosts_of_workers(pod, monkeypatch)
    port = service["ports"][0]["port"]
    assert hosts == [f"crackgate-training-{index}.{pod['subdomain']}:{port}" for index in range(job["completions"])]
    assert job["completions"] == job["parallelism"]

    train_job = of_kind("TrainJob")["crackgate-training"]
    runtime = of_kind(train_job["spec"]["runtimeRef"]["kind"])[train_job["spec"]["runtimeRef"]["name"]]["spec"]
    (workers,) = runtime["template"]["spec"]["replicatedJobs"]
    hosts = _hosts_of_workers(workers["template"]["spec"]["template"]["spec"], monkeypatch)
    # JobSet, which Kubeflow Trainer builds on, names pods so.
    name = train_job["metadata"]["name"]
    nodes = train_job["spec"]["trainer"]["numNodes"]
    assert hosts == [f"{name}-{workers['name']}-0-{index}.{name}:{port}" for index in range(nodes)]
    assert runtime["mlPolicy"]["numNodes"] == nodes
    assert load_config(MANIFESTS / "training" / "training.toml").data.classes


def test_kubeflow_s_tasks_are_told_of_what_is_there() -> None:
    options = tomllib.loads((MANIFESTS / "kubeflow.toml").read_text(encoding="utf-8"))["kubeflow"]
    assert {volume["claim"] for volume in options["volumes"]} == set(of_kind("PersistentVolumeClaim"))
    mounts = {volume["mount"] for volume in options["volumes"]}
    assert mounts == {options["workspace"], options["data"], options["serving"]}
    secrets = {secret["metadata"]["name"]: secret["stringData"] for secret in load(MANIFESTS / "secrets.template.yaml")}
    assert secrets[options["mlmd_secret"]]["MLMD_HOST"] in of_kind("Service")
    (component,) = load(MANIFESTS / "images" / "kustomization.yaml")
    assert options["image"] in {f"{image['newName']}:{image['newTag']}" for image in component["images"]}


def _hosts_of_workers(pod: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The workers that TF_CONFIG names; each of them finds itself in it."""
    (container,) = pod["containers"]
    (text,) = (variable["value"] for variable in container["env"] if variable["name"] == "TF_CONFIG")
    hosts: list[str] = json.loads(text.replace("$(INDEX)", "0"))["cluster"]["worker"]
    for index in range(len(hosts)):
        monkeypatch.setenv("TF_CONFIG", text.replace("$(INDEX)", str(index)))
        check_tf_config()
    return hosts


def _selected(labels: dict[str, str]) -> list[Pod]:
    common = {"app.kubernetes.io/part-of": "crackgate"}
    return [pod for pod in PODS if pod.labels and labels.items() <= {**pod.labels, **common}.items()]


def _ports(selected: list[Pod]) -> set[str]:
    containers = [container for pod in selected for container in pod.spec["containers"]]
    return {port["name"] for container in containers for port in container.get("ports", ())}


def _known_peer(peer: dict[str, Any]) -> bool:
    for selector in peer.values():
        labels = selector.get("matchLabels", {})
        keys = {*labels, *(expression["key"] for expression in selector.get("matchExpressions", ()))}
        if keys <= FOREIGN_LABELS or set(labels.values()) <= FOREIGN_NAMES or _selected(labels):
            continue
        return False
    return True


def _claim_templates(pod: Pod) -> list[str]:
    sets = [of_kind("StatefulSet")[pod.owner.split()[1]]] if pod.owner.startswith("StatefulSet") else []
    return [claim["metadata"]["name"] for found in sets for claim in found["spec"]["volumeClaimTemplates"]]


def _config_maps() -> dict[str, set[str]]:
    found = {}
    for part in PARTS:
        (kustomization,) = load(MANIFESTS / part / "kustomization.yaml")
        for generated in kustomization.get("configMapGenerator", ()):
            literals = {literal.partition("=")[0] for literal in generated["literals"]}
            found[generated["name"]] = {*(Path(name).name for name in generated["files"]), *literals}
    return found
