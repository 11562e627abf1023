"""The compiled file: what Kubeflow Pipelines would make of it, and that everything in it arrives as it was."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

kfp = pytest.importorskip("kfp")

# Text that KFP, Argo, the shell, YAML or Kubernetes would each like to take for their own.
CLASSES = ["{{$.pipeline_job_uuid}}", "$(HOME) {{workflow.name}}", "$0 `id` \\ \"'", "裂缝: ß"]
GPU_IMAGE = "registry.example.com/crackgate:0.1.0-gpu"
ACCELERATED = (
    'kubeflow.nodes.Trainer={cpu="8", memory="16Gi", shared_memory="2Gi", accelerator="nvidia.com/gpu", '
    f'accelerators=2, retries=0, image="{GPU_IMAGE}"}}'
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of four strangely named classes, with options for single nodes."""
    from crackgate.config.configuration import load_config
    from kubeflow.compile.compiler import compile_pipeline
    from kubeflow.compile.definition import remote_pipeline

    config = load_config(
        None,
        [
            'kubeflow.image="registry.example.com/crackgate:0.1.0"',
            ACCELERATED,
            'kubeflow.nodes.Trainer.node_selector={ pool = "gpu" }',
            'kubeflow.nodes.Trainer.tolerations=[{key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule"}]',
            "kubeflow.nodes.Report.timeout=600",
            "kubeflow.nodes.LeakCheck.retries=1",
            'kubeflow.signing_secret="crackgate-signing"',
            'kubeflow.image_pull_secrets=["registry"]',
            'release.signing_key="/etc/crackgate/signing/release.key"',
            'train.positive_classes=["裂缝: ß"]',
        ],
    )
    file = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(remote_pipeline(CLASSES, config, enable_cache=True), CLASSES, config, file)
    return file


@pytest.fixture(scope="module")
def documents_once(compiled: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(compiled.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


@pytest.fixture
def documents(documents_once: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A test may change them."""
    return copy.deepcopy(documents_once)


def tasks_of(specification: dict[str, Any]) -> dict[str, Any]:
    (group,) = (name for name in specification["components"] if name.startswith("comp-exit-handler"))
    found: dict[str, Any] = specification["components"][group]["dag"]["tasks"]
    return found


def constant(task: dict[str, Any], name: str) -> str:
    value: str = task["inputs"]["parameters"][name]["runtimeValue"]["constant"]
    return value


def test_kubeflow_would_take_it(compiled: Path) -> None:
    from kubeflow.compile.backend_checks import check_file

    check_file(compiled)


def test_each_node_is_one_task_in_the_order_of_the_ir_and_the_report_follows_whatever_happens(
    documents: list[dict[str, Any]],
) -> None:
    from tfx.dsl.compiler import compiler

    from crackgate.config.configuration import load_config
    from kubeflow.compile.definition import remote_pipeline
    from kubeflow.task.names import task_name

    config = load_config(None, ['train.positive_classes=["裂缝: ß"]'])
    ir = compiler.Compiler().compile(remote_pipeline(CLASSES, config, enable_cache=True))
    nodes = [node.pipeline_node for node in ir.nodes]
    tasks = tasks_of(documents[0])
    assert set(tasks) == {*(task_name(node.node_info.id) for node in nodes), "verdict"}
    for node in nodes:
        needed = sorted(map(task_name, node.upstream_nodes))
        assert sorted(tasks[task_name(node.node_info.id)].get("dependentTasks", [])) == needed
    last = sorted(task_name(node.node_info.id) for node in nodes if not node.downstream_nodes)
    assert sorted(tasks["verdict"]["dependentTasks"]) == last
    outer = documents[0]["root"]["dag"]["tasks"]
    assert outer["report"]["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    assert outer["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert all(not task["cachingOptions"] for task in (*tasks.values(), outer["report"]))
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) for name in tasks)


def test_tasks_get_what_is_configured_for_them(documents: list[dict[str, Any]]) -> None:
    specification, platform = documents
    containers = {
        name.removeprefix("exec-"): executor["container"]
        for name, executor in specification["deploymentSpec"]["executors"].items()
    }
    images = {name: container["image"] for name, container in containers.items()}
    assert images.pop("trainer") == GPU_IMAGE and set(images.values()) == {"registry.example.com/crackgate:0.1.0"}
    trainer, other = containers["trainer"]["resources"], containers["pusher"]["resources"]
    assert (trainer["resourceCpuLimit"], trainer["resourceMemoryRequest"]) == ("8", "16Gi")
    assert trainer["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert trainer["accelerator"]["resourceCount"] == "2"
    assert (other["resourceCpuLimit"], other["resourceMemoryRequest"]) == ("2", "8Gi") and "accelerator" not in other
    assert not any("pip" in " ".join(container["command"]) for container in containers.values())

    tasks = tasks_of(specification)
    assert "retryPolicy" not in tasks["trainer"]
    # A refusal is not tried again, unless the configuration says so of this very task.
    once = {"image-example-gen", "data-gate", "drift-check", "verdict"}
    assert not any("retryPolicy" in tasks[name] for name in once)
    assert tasks["leak-check"]["retryPolicy"]["maxRetryCount"] == 1
    assert tasks["pusher"]["retryPolicy"] == {
        "maxRetryCount": 2,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        # Argo counts the attempts themselves in, and kills the one that runs when it is over.
        "backoffMaxDuration": "315360000s",
    }
    on_kubernetes = {
        name.removeprefix("exec-"): options
        for name, options in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items()
    }
    assert set(on_kubernetes) == set(containers) == {*tasks, "report"}
    trainer = on_kubernetes["trainer"]
    assert trainer["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert trainer["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert on_kubernetes["report"]["activeDeadlineSeconds"] == "600"
    for name, options in on_kubernetes.items():
        assert {mount["mountPath"] for mount in options["pvcMount"]} == {"/workspace", "/data", "/serving"}
        assert options["emptyDirMounts"][0] == {
            "volumeName": "shared-memory",
            "mountPath": "/dev/shm",
            "medium": "Memory",
            "sizeLimit": "2Gi" if name == "trainer" else "512Mi",
        }
        secrets = {secret["secretName"]: secret for secret in options["secretAsVolume"]}
        assert set(secrets) == {"crackgate-mlmd"} | ({"crackgate-signing"} if name == "pusher" else set())
        assert secrets["crackgate-mlmd"]["mountPath"] == "/etc/crackgate/mlmd"
        # A pod that waits for a Secret says nothing; a task does.
        assert all(secret["optional"] for secret in secrets.values())
        assert [secret["secretName"] for secret in options["imagePullSecret"]] == ["registry"]
    assert on_kubernetes["pusher"]["secretAsVolume"][1]["mountPath"] == "/etc/crackgate/signing"


def test_data_in_a_bucket_needs_one_claim_and_a_secret_for_the_tasks_that_read_it(tmp_path: Path) -> None:
    from crackgate.config.configuration import load_config
    from kubeflow.compile.backend_checks import check_file
    from kubeflow.compile.compiler import compile_pipeline
    from kubeflow.compile.definition import remote_pipeline

    config = load_config(
        None,
        [
            'kubeflow.image="registry.example.com/crackgate:0.1.0"',
            'kubeflow.data="s3://photographs/site A"',
            'kubeflow.data_secret="crackgate-bucket"',
            'kubeflow.serving="serving"',
            'kubeflow.volumes=[{claim = "crackgate", mount = "/workspace"}]',
        ],
    )
    classes = ["Crack", "Sound"]
    compile_pipeline(remote_pipeline(classes, config, enable_cache=True), classes, config, tmp_path / "pipeline.yaml")
    check_file(tmp_path / "pipeline.yaml")
    documents = yaml.load_all((tmp_path / "pipeline.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    specification, platform = documents
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert parameters["data"]["defaultValue"] == "s3://photographs/site A"
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {len(options["pvcMount"]) for options in executors.values()} == {1}
    readers = {
        name.removeprefix("exec-")
        for name, options in executors.items()
        for secret in options["secretAsVolume"]
        if secret["secretName"] == "crackgate-bucket" and secret["optional"]
    }
    assert readers == {"image-example-gen", "verdict", "report"}


def test_each_component_that_rejects_data_is_known_as_one() -> None:
    import components
    from kubeflow.task.names import DATA_CHECKS, task_name

    folders = {
        file.parent.name
        for file in Path(components.__path__[0]).glob("*/*.py")
        if "raise DataRejectedError" in file.read_text(encoding="utf-8")
    }
    assert folders == {task_name(node).replace("-", "_") for node in DATA_CHECKS}


def test_a_node_that_the_pipeline_has_not_is_refused_by_name(tmp_path: Path) -> None:
    from crackgate.config.configuration import ConfigError, load_config
    from kubeflow.compile.compiler import compile_pipeline
    from kubeflow.compile.definition import remote_pipeline

    config = load_config(None, ['kubeflow.image="x"', 'kubeflow.nodes.Trainr.cpu="4"'])
    pipeline = remote_pipeline(["a", "b"], config, enable_cache=True)
    with pytest.raises(
        ConfigError, match=r"received 'Trainr'; this pipeline has .*ImageExampleGen, .*Trainer, .*Report"
    ):
        compile_pipeline(pipeline, ["a", "b"], config, tmp_path / "pipeline.yaml")


def test_strange_names_arrive_as_they_were(documents: list[dict[str, Any]]) -> None:
    from tfx.proto.orchestration import pipeline_pb2

    from kubeflow.task.node_ir import unpack

    specification = documents[0]
    definition = json.loads(unpack(constant(specification["root"]["dag"]["tasks"]["report"], "definition")))
    assert definition["classes"] == CLASSES
    schema = pipeline_pb2.Pipeline.FromString(unpack(constant(tasks_of(specification)["curated-schema"], "ir")))
    parameters = schema.nodes[0].pipeline_node.parameters.parameters
    assert json.loads(parameters["classes"].field_value.string_value) == CLASSES


def test_a_nodes_part_of_the_ir_holds_no_other_node_and_no_store(documents: list[dict[str, Any]]) -> None:
    from tfx.proto.orchestration import pipeline_pb2

    from kubeflow.task.node_ir import deployment_of, unpack

    for name, task in tasks_of(documents[0]).items():
        if name == "verdict":
            continue
        pipeline = pipeline_pb2.Pipeline.FromString(unpack(constant(task, "ir")))
        assert [node.pipeline_node.node_info.id for node in pipeline.nodes] == [constant(task, "node")]
        deployment = deployment_of(pipeline)
        assert set(deployment.executor_specs) <= {constant(task, "node")}
        assert deployment.metadata_connection_config.WhichOneof("connection_config") is None
        assert len(constant(task, "ir")) < 8000


_PATHS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'), max_size=30).map("/".__add__)


@settings(max_examples=15, deadline=None)
@given(workspace=_PATHS, data=_PATHS, serving=_PATHS)
def test_paths_take_the_place_of_their_stand_ins_everywhere(
    documents_once: list[dict[str, Any]], workspace: str, data: str, serving: str
) -> None:
    from google.protobuf.text_format import MessageToString
    from tfx.orchestration.portable.runtime_parameter_utils import substitute_runtime_parameter
    from tfx.proto.orchestration import pipeline_pb2

    from kubeflow.task.node_ir import deployment_of, unpack
    from kubeflow.task.parameters import RunParameters, substitute

    values = RunParameters(workspace, data, serving)
    for name in ("image-example-gen", "trainer", "pusher"):
        pipeline = pipeline_pb2.Pipeline.FromString(unpack(constant(tasks_of(documents_once[0])[name], "ir")))
        substitute(pipeline, values)
        substitute_runtime_parameter(pipeline, {"pipeline-run-id": "the-run"})
        whole = MessageToString(pipeline) + MessageToString(deployment_of(pipeline))
        assert "crackgate-parameters" not in whole
        assert pipeline.runtime_spec.pipeline_root.field_value.string_value == f"{workspace}/pipeline"
        parameters = pipeline.nodes[0].pipeline_node.parameters.parameters
        if name == "image-example-gen":
            assert parameters["input_base"].field_value.string_value == data
        if name == "trainer":
            assert json.loads(parameters["custom_config"].field_value.string_value)["work_dir"] == "trainer"
        if name == "pusher":
            texts = [value.field_value.string_value for value in parameters.values()]
            assert any(serving in text for text in texts) and all(json.loads(text) for text in texts if text[:1] == "{")


_VARIABLE = re.compile(r"\$\$|\$\([-._a-zA-Z][-._a-zA-Z0-9]*\)")


def expand_as_kubernetes_does(text: str, variables: dict[str, str]) -> str:
    """`$(NAME)` of a known variable is its value, of an unknown one itself; `$$` is `$`."""
    return _VARIABLE.sub(lambda found: "$" if found[0] == "$$" else variables.get(found[0][2:-1], found[0]), text)


@given(
    content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
)
def test_a_constant_survives_every_expansion_on_its_way(content: bytes) -> None:
    from kfp.local.placeholder_utils import resolve_individual_placeholder

    from kubeflow.task.node_ir import pack, unpack

    packed = pack(content)
    assert "{{" not in packed and "$" not in packed
    filled = resolve_individual_placeholder(
        packed,
        executor_input_dict={"outputs": {"outputFile": "/out"}, "inputs": {"parameterValues": {"a": "b"}}},
        pipeline_resource_name="p",
        task_resource_name="t",
        pipeline_root="/root",
        pipeline_job_id="1",
        pipeline_task_id="2",
    )
    assert unpack(expand_as_kubernetes_does(filled, {"HOME": "/root"})) == content
    assert unpack(yaml.safe_load(yaml.safe_dump({"constant": packed}))["constant"]) == content


def _root(specification: dict[str, Any]) -> dict[str, Any]:
    task: dict[str, Any] = specification["root"]["dag"]["tasks"]["report"]
    return task


REFUSALS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda s: s.update(schemaVersion="2.0.0"), "schemaVersion is '2.0.0'"),
    (lambda s: s["pipelineInfo"].update(name="Crack Gate"), "the pipeline's name is 'Crack Gate'"),
    (lambda s: s.pop("root"), "there is no root"),
    (lambda s: s.update(surprise=1), "surprise"),
    (lambda s: s["components"].pop("comp-trainer"), "there is no component 'comp-trainer'"),
    (lambda s: s["deploymentSpec"]["executors"].pop("exec-trainer"), "there is no executor 'exec-trainer'"),
    (
        lambda s: s["deploymentSpec"]["executors"].update({"exec-trainer": {"resolver": {}}}),
        "executor 'exec-trainer' is of the kind 'resolver'",
    ),
    (lambda s: s["deploymentSpec"]["executors"]["exec-trainer"]["container"].update(image=""), "has no image"),
    (
        lambda s: _root(s)["inputs"]["parameters"]["status"]["taskFinalStatus"].update(producerTask="trainer"),
        "refers to the state of a task that it does not wait for",
    ),
    (lambda s: tasks_of(s)["trainer"]["dependentTasks"].append("nobody"), "depends on nobody"),
    (lambda s: tasks_of(s)["curated-schema"].update(dependentTasks=["trainer"]), "wait for each other"),
    (lambda s: tasks_of(s).update({"Data_Gate": tasks_of(s).pop("data-gate")}), "task 'Data_Gate'"),
    (lambda s: _root(s)["inputs"]["parameters"].pop("run_id"), "input 'run_id' is not given"),
    (lambda s: _root(s)["inputs"]["parameters"].update(x={"runtimeValue": {"constant": 1}}), "not declared"),
    (
        lambda s: _root(s)["inputs"]["parameters"].update(data={"componentInputParameter": "date"}),
        "refers to 'date', which is not there",
    ),
    (
        lambda s: _root(s)["inputs"]["parameters"].update(data={"runtimeValue": {"constant": "{{$.nonsense}}"}}),
        "placeholders that nothing fills in: {{$.nonsense}}",
    ),
    (
        lambda s: _root(s)["inputs"]["parameters"].update(data={"runtimeValue": {"constant": "$(HOME)"}}),
        "which Kubernetes takes for a variable",
    ),
    (lambda s: s["root"]["inputDefinitions"]["parameters"]["data"].pop("parameterType"), "'data' has no type"),
    (
        lambda s: s["root"]["inputDefinitions"]["parameters"].update(data={"parameterType": "STRING"}),
        "'data' has no default value",
    ),
    (lambda s: s["root"]["dag"].update(tasks={"report": _root(s)}), "root has no task besides exit tasks"),
    (lambda s: s["components"].update(root={}), "'root', which is reserved"),
    (lambda s: s["pipelineInfo"].update(description="x" * 1_000_000), "a workflow may have about"),
    (lambda s: s["pipelineInfo"].update(name="x" * 58), "has 58 characters, allowed are 57"),
    (
        # Filled in only where it is the whole constant.
        lambda s: _root(s)["inputs"]["parameters"].update(
            run_id={"runtimeValue": {"constant": "run-{{$.pipeline_job_uuid}}"}}
        ),
        "placeholders that nothing fills in: {{$.pipeline_job_uuid}}",
    ),
    (
        lambda s: _root(s)["inputs"]["parameters"].update(definition={"runtimeValue": {"constant": "x" * 130_000}}),
        "bytes; allowed are 120,000",
    ),
    (lambda s: _root(s)["retryPolicy"].update(backoffFactor=1.5), "the back-off factor is 1.5; Argo takes whole"),
    (lambda s: _root(s)["retryPolicy"].pop("backoffMaxDuration"), "nothing is tried again"),
    (
        lambda s: s["components"]["comp-pusher"]["inputDefinitions"]["parameters"].update(
            more={"parameterType": "STRING", "isOptional": True}
        ),
        "have equal containers, but other inputs or outputs",
    ),
    (
        lambda s: s["root"]["inputDefinitions"]["parameters"]["data"].update(literals=["/data"]),
        "not every KFP from 2.14 to 2.17 knows ml_pipelines.ComponentInputsSpec.ParameterSpec.literals",
    ),
]


@pytest.mark.parametrize(("change", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_what_the_server_refuses_is_refused_here(
    documents: list[dict[str, Any]], change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path
) -> None:
    from kubeflow.compile.backend_checks import BackendRefusalError, check_file

    change(documents[0])
    (tmp_path / "pipeline.yaml").write_text(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    with pytest.raises(BackendRefusalError) as refused:
        check_file(tmp_path / "pipeline.yaml")
    assert said in str(refused.value)


def test_a_wrong_platform_specification_is_refused(documents: list[dict[str, Any]]) -> None:
    from kubeflow.compile.backend_checks import find_refusals

    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-trainer"]["pvcMounts"] = []
    executors["exec-pusher"]["pvcMount"].append({"constant": "other", "mountPath": "/data"})
    executors["exec-nobody"] = {}
    found = find_refusals(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    assert len(found) == 3 and "pvcMounts" in found[2] + found[1] + found[0]
    assert any("'exec-nobody', which the pipeline has not" in refusal for refusal in found)
    assert any("several volumes are mounted at /data" in refusal for refusal in found)


def _volumes(executor: dict[str, Any], kind: str, **changes: str) -> None:
    executor[kind][0].update(changes)


PLATFORM_REFUSALS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (
        # https://github.com/kubeflow/pipelines/issues/12495
        lambda e: e.update(secretAsEnv=[{"secretName": "x", "optional": True}]),
        "not every KFP from 2.14 to 2.17 knows kfp_kubernetes.SecretAsEnv.optional",
    ),
    (lambda e: _volumes(e, "pvcMount", mountPath="/kfp-launcher/"), "/kfp-launcher is where KFP's launcher lies"),
    (lambda e: _volumes(e, "pvcMount", constant="gcs-scratch"), "several volumes would be called gcs-scratch"),
    (lambda e: _volumes(e, "pvcMount", constant="crackgate-mlmd"), "several volumes would be called crackgate-mlmd"),
    (lambda e: _volumes(e, "pvcMount", constant="of.a.bucket"), "of.a.bucket cannot be the name of a volume"),
    (lambda e: _volumes(e, "secretAsVolume", mountPath="/dev/shm"), "several volumes are mounted at /dev/shm"),
]


@pytest.mark.parametrize(("change", "said"), PLATFORM_REFUSALS, ids=[said for _, said in PLATFORM_REFUSALS])
def test_what_the_driver_or_kubernetes_refuses_is_refused_here(
    documents: list[dict[str, Any]], change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    from kubeflow.compile.backend_checks import find_refusals

    change(documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-trainer"])
    (found,) = find_refusals(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    assert found.startswith("platform specification of 'exec-trainer': ") and said in found


def test_what_is_no_pipeline_is_refused() -> None:
    from kubeflow.compile.backend_checks import find_refusals

    assert find_refusals("a: [") and find_refusals("") == ["no pipeline specification is in it"]
    assert "platform specification" in find_refusals("kind: Workflow")[0]
