"""Compiles a TFX pipeline to one `pipeline.yaml` for Kubeflow Pipelines v2.

Each TFX node becomes one task, which runs TFX's launcher on the node's part of the IR. Tasks exchange data through
ML Metadata only.
"""

import copy
from pathlib import Path
from typing import Any

from kfp import compiler as kfp_compiler
from kfp import dsl, kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import v1 as tfx
from tfx.dsl.compiler import compiler
from tfx.proto.orchestration import pipeline_pb2

from crackgate.config.configuration import Config, ConfigError
from crackgate.config.kubeflow import DATA_SECRET_FOLDER, SIGNING_FOLDER, KubeflowOptions, NodeOptions
from kubeflow.compile import task_functions
from kubeflow.task.metadata_store import SECRET_FOLDER
from kubeflow.task.names import DATA_CHECKS, REPORT, VERDICT, task_name
from kubeflow.task.node_ir import pack, prune
from kubeflow.task.sources import digest_of_sources
from kubeflow.task.verdict import Definition

# Seconds in ten years.
_ALWAYS = 315_360_000
_PUSHER = "Pusher"
# These list the images: the report, with their labels.
_DATA_READERS = ("ImageExampleGen", VERDICT, REPORT)


def compile_pipeline(pipeline: tfx.dsl.Pipeline, classes: list[str], config: Config, file: Path) -> None:
    """Writes the pipeline as YAML: its specification, then that of the Kubernetes platform.

    The pipeline's paths are stand-ins of `kubeflow.task.parameters`; `classes` are in label order. ConfigError is
    raised where `kubeflow.nodes` names a node that the pipeline lacks.
    """
    ir = compiler.Compiler().compile(pipeline)
    nodes = [node.pipeline_node for node in ir.nodes]
    ids = [node.node_info.id for node in nodes]
    options = config.kubeflow
    _check_nodes(options, ids)
    sources = digest_of_sources()
    definition = pack(Definition(nodes=ids, classes=classes, config=config).model_dump_json(by_alias=True).encode())

    @dsl.pipeline(name=ir.pipeline_info.id, description="From a folder of labelled photographs to a released model.")
    def crackgate(workspace: str = options.workspace, data: str = options.data, serving: str = options.serving) -> None:
        run: dict[str, Any] = {
            "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            "workspace": workspace,
            "data": data,
            "serving": serving,
        }
        report = _component(task_functions.report, REPORT, options)(definition=definition, **run)
        _equip(report, options, REPORT)
        with dsl.ExitHandler(report, name="run"):
            made: dict[str, dsl.PipelineTask] = {}
            for node in nodes:
                name = node.node_info.id
                packed = pack(prune(ir, name).SerializeToString(deterministic=True))
                task = _component(task_functions.node, name, options)(node=name, ir=packed, sources=sources, **run)
                made[name] = task.after(*(made[upstream] for upstream in node.upstream_nodes))
                _equip(task, options, name)
                if name == _PUSHER and options.signing_secret:
                    kubernetes.use_secret_as_volume(task, options.signing_secret, SIGNING_FOLDER, optional=True)
            verdict = _component(task_functions.verdict, VERDICT, options)(definition=definition, **run)
            verdict.after(*(made[name] for name in _last_nodes(nodes)))
            _equip(verdict, options, VERDICT)

    _retry_however_long_it_takes(crackgate.pipeline_spec)
    kfp_compiler.Compiler().compile(crackgate, str(file))


def _retry_however_long_it_takes(specification: pipeline_spec_pb2.PipelineSpec) -> None:
    """Lifts kfp's limit of one hour, which Argo applies to all attempts together."""
    for component in (specification.root, *specification.components.values()):
        for task in component.dag.tasks.values():
            if task.HasField("retry_policy"):
                task.retry_policy.backoff_max_duration.FromSeconds(_ALWAYS)


def _check_nodes(options: KubeflowOptions, ids: list[str]) -> None:
    allowed = [*ids, VERDICT, REPORT]
    if unknown := [name for name in options.nodes if name not in allowed]:
        raise ConfigError(
            f"kubeflow.nodes: received {', '.join(map(repr, unknown))}; this pipeline has {', '.join(allowed)}"
        )


def _last_nodes(nodes: list[pipeline_pb2.PipelineNode]) -> list[str]:
    return [node.node_info.id for node in nodes if not node.downstream_nodes]


def _component(function: Any, node_id: str, options: KubeflowOptions) -> Any:
    """Makes the function a component under the node's name, which also names the task."""
    image = options.of_node(node_id).image or options.image
    component = copy.copy(dsl.component(function, base_image=image, install_kfp_package=False))
    component.component_spec = copy.deepcopy(component.component_spec)
    component.component_spec.name = task_name(node_id)
    return component


def _retries(options: KubeflowOptions, node_id: str) -> int:
    """To Kubeflow a refusal is a failure like any other, so tasks that may refuse run once, unless told otherwise."""
    own = options.nodes.get(node_id, NodeOptions())
    if node_id in (*DATA_CHECKS, VERDICT) and "retries" not in own.model_fields_set:
        return 0
    return options.of_node(node_id).retries


def _equip(task: dsl.PipelineTask, options: KubeflowOptions, node_id: str) -> None:
    own = options.of_node(node_id)
    # A hit in KFP's cache would skip TFX's launcher, which has a cache of its own and records lineage.
    task.set_caching_options(False)
    task.set_cpu_request(own.cpu).set_cpu_limit(own.cpu)
    task.set_memory_request(own.memory).set_memory_limit(own.memory)
    if own.accelerator:
        task.set_accelerator_type(own.accelerator).set_accelerator_limit(own.accelerators)
    if retries := _retries(options, node_id):
        task.set_retry(retries, f"{own.retry_delay}s", own.retry_factor)
    if own.timeout:
        kubernetes.set_timeout(task, own.timeout)
    if own.shared_memory:
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", own.shared_memory)
    for key, value in own.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in own.tolerations:
        # An empty field means "any" to Kubernetes and must not be sent.
        given = {name: value for name, value in toleration.model_dump().items() if value}
        kubernetes.add_toleration(task, **given)
    if options.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(options.image_pull_secrets))
    for volume in options.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.mount)
    # A task reports a missing Secret; a pod that waits for one reports nothing.
    kubernetes.use_secret_as_volume(task, options.mlmd_secret, str(SECRET_FOLDER), optional=True)
    if options.data_secret and node_id in _DATA_READERS:
        kubernetes.use_secret_as_volume(task, options.data_secret, DATA_SECRET_FOLDER, optional=True)
