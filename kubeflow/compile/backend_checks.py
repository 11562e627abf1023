"""Finds what Kubeflow Pipelines would refuse, before the upload.

The rules come from the backend of KFP 2.14 to 2.17 (github.com/kubeflow/pipelines), Kubernetes and Argo.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

SCHEMA_VERSION = "2.1.0"
# Fields of kfp's protobufs that KFP 2.14 or 2.17 lacks: a server reads strictly.
_NOT_EVERYWHERE = {
    "kfp_kubernetes.ConfigMapAsEnv.optional",
    "kfp_kubernetes.KubernetesExecutorConfig.security_context",
    "kfp_kubernetes.PvcMount.sub_path",
    "kfp_kubernetes.SecretAsEnv.optional",
    "ml_pipelines.ComponentInputsSpec.ParameterSpec.literals",
    "ml_pipelines.ComponentSpec.task_config_passthroughs",
    "ml_pipelines.PipelineConfig.resource_ttl",
    "ml_pipelines.PipelineDeploymentConfig.ImporterSpec.download_to_workspace",
}
# The server's own pattern for the whole name.
_PIPELINE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# Task names become names of Argo's templates, and values of labels.
_TASK_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# The workflow's name, a label's value, is the pipeline's name with five random characters.
_LONGEST_PIPELINE_NAME = 57
# An object in etcd has at most 1.5 MiB; Argo keeps the state of every pod beside the specification.
_LARGEST = 1_000_000
# Driver and launcher receive a task as one argument, and Linux takes 128 KiB in one.
_LARGEST_TASK = 120_000
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
# The driver replaces a constant that is one of these.
_KNOWN_PLACEHOLDERS = {"{{$.pipeline_job_uuid}}", "{{$.pipeline_job_name}}", "{{$.pipeline_job_resource_name}}"}
# The server's compiler gives every pod these.
_VOLUMES_OF_KFP = {
    "kfp-launcher",
    "gcs-scratch",
    "s3-scratch",
    "minio-scratch",
    "dot-local-scratch",
    "dot-cache-scratch",
    "dot-config-scratch",
}
_LAUNCHER_FOLDER = "/kfp-launcher"
_UNTYPED = pipeline_spec_pb2.ParameterType.PARAMETER_TYPE_ENUM_UNSPECIFIED


class BackendRefusalError(Exception):
    """Kubeflow Pipelines would refuse the file; the message lists the reasons."""


def check_file(file: Path) -> None:
    """Raises BackendRefusalError where Kubeflow Pipelines would refuse the compiled pipeline."""
    try:
        refusals = find_refusals(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        refusals = ["it is no text in UTF-8"]
    if refusals:
        raise BackendRefusalError(
            f"Kubeflow Pipelines would refuse {str(file)!r}: {'; '.join(refusals)}. What it takes is written by "
            "'crackgate kubeflow compile'"
        )


def find_refusals(text: str) -> list[str]:
    """Returns the reasons to refuse a pipeline, a sentence each.

    The text is YAML: a pipeline specification, then perhaps a platform specification.
    """
    try:
        documents = [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document is not None]
    except yaml.YAMLError as error:
        return [f"it is not YAML: {error}"]
    spec, platform, refusals = _read_documents(documents)
    if spec is None:
        return refusals or ["no pipeline specification is in it"]
    if len(text.encode()) > _LARGEST:
        refusals.append(f"it has {len(text.encode()):,} bytes; a workflow may have about {_LARGEST:,}")
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    try:
        json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), deployment)
    except json_format.ParseError as error:
        return [*refusals, f"deploymentSpec: {error}"]
    refusals += _check_fields(spec, deployment, platform)
    refusals += _check_head(spec)
    refusals += _check_dag("root", spec.root, spec, deployment, ())
    refusals += _check_shared_containers(spec, deployment)
    refusals += _check_platform(platform, deployment)
    return refusals


def _read_documents(
    documents: list[Any],
) -> tuple[pipeline_spec_pb2.PipelineSpec | None, pipeline_spec_pb2.PlatformSpec, list[str]]:
    spec, platform = None, pipeline_spec_pb2.PlatformSpec()
    refusals = []
    for document in documents:
        is_spec = isinstance(document, dict) and "pipelineInfo" in document
        try:
            if not is_spec:
                json_format.ParseDict(document, platform)
            elif spec is not None:
                refusals.append("it has more than one pipeline specification")
            else:
                spec = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
        except (json_format.ParseError, AttributeError, TypeError) as error:
            refusals.append(f"{'pipeline' if is_spec else 'platform'} specification: {error}")
    return spec, platform, refusals


def _check_fields(*messages: Message) -> Iterator[str]:
    if newer := sorted({name for message in messages for name in _fields_set(message)} & _NOT_EVERYWHERE):
        yield f"not every KFP from 2.14 to 2.17 knows {', '.join(newer)}"


def _fields_set(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        yield field.full_name
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [each for each in value.values() if isinstance(each, Message)]
        else:
            inner = list(value) if field.is_repeated else [value]
        for each in inner:
            yield from _fields_set(each)


def _check_head(spec: pipeline_spec_pb2.PipelineSpec) -> Iterator[str]:
    if spec.schema_version != SCHEMA_VERSION:
        yield f"schemaVersion is {spec.schema_version!r}, allowed is {SCHEMA_VERSION!r}"
    if not _PIPELINE_NAME.fullmatch(spec.pipeline_info.name):
        yield f"the pipeline's name is {spec.pipeline_info.name!r}, allowed are lower-case letters, digits, '-' and '.'"
    if len(spec.pipeline_info.name) > _LONGEST_PIPELINE_NAME:
        yield f"the pipeline's name has {len(spec.pipeline_info.name)} characters, allowed are {_LONGEST_PIPELINE_NAME}"
    if not spec.HasField("root"):
        yield "there is no root"
    if "root" in spec.components:
        yield "a component is named 'root', which is reserved"
    for name, parameter in spec.root.input_definitions.parameters.items():
        if parameter.parameter_type == _UNTYPED:
            yield f"run parameter {name!r} has no type"
        if not parameter.HasField("default_value") and not parameter.is_optional:
            yield f"run parameter {name!r} has no default value, which a scheduled run needs"


def _check_dag(
    name: str,
    component: pipeline_spec_pb2.ComponentSpec,
    spec: pipeline_spec_pb2.PipelineSpec,
    deployment: pipeline_spec_pb2.PipelineDeploymentConfig,
    path: tuple[str, ...],
) -> Iterator[str]:
    if name in path:
        yield f"components refer to each other in a circle: {' -> '.join((*path, name))}"
        return
    if component.WhichOneof("implementation") != "dag":
        yield from _check_executor(name, component, deployment)
        return
    tasks = component.dag.tasks
    ordinary = [task for task in tasks.values() if not _is_exit_task(task)]
    if not ordinary:
        yield f"{name} has no task besides exit tasks"
    yield from _check_order(name, tasks)
    for key, task in tasks.items():
        where = f"task {key!r} of {name}"
        if not _TASK_NAME.fullmatch(key):
            yield f"{where}: allowed are names of at most 63 lower-case letters, digits and '-'"
        reference = task.component_ref.name
        if reference not in spec.components:
            yield f"{where}: there is no component {reference!r}"
            continue
        yield from _check_retries(where, task)
        if (size := len(json_format.MessageToJson(task, indent=None).encode())) > _LARGEST_TASK:
            yield f"{where} has {size:,} bytes; allowed are {_LARGEST_TASK:,}"
        yield from _check_inputs(where, task, component, spec.components[reference], tasks)
        yield from _check_dag(reference, spec.components[reference], spec, deployment, (*path, name))


def _is_exit_task(task: pipeline_spec_pb2.PipelineTaskSpec) -> bool:
    exit_task = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
    return bool(task.trigger_policy.strategy == exit_task)


def _check_retries(where: str, task: pipeline_spec_pb2.PipelineTaskSpec) -> Iterator[str]:
    if task.HasField("retry_policy"):
        if not task.retry_policy.backoff_factor.is_integer():
            yield f"{where}: the back-off factor is {task.retry_policy.backoff_factor}; Argo takes whole numbers only"
        if not task.retry_policy.HasField("backoff_max_duration"):
            yield f"{where}: there is no longest back-off, which Argo takes for none at all: nothing is tried again"


def _check_shared_containers(
    spec: pipeline_spec_pb2.PipelineSpec, deployment: pipeline_spec_pb2.PipelineDeploymentConfig
) -> Iterator[str]:
    """The server keeps one component for all that have equal containers."""
    known: dict[bytes, tuple[str, pipeline_spec_pb2.ComponentSpec]] = {}
    for name, component in sorted(spec.components.items()):
        if component.executor_label not in deployment.executors:
            continue
        container = deployment.executors[component.executor_label].container
        first, same = known.setdefault(container.SerializeToString(deterministic=True), (name, component))
        if (same.input_definitions, same.output_definitions) != (
            component.input_definitions,
            component.output_definitions,
        ):
            yield f"{first} and {name} have equal containers, but other inputs or outputs: one is taken for the other"


def _check_executor(
    name: str,
    component: pipeline_spec_pb2.ComponentSpec,
    deployment: pipeline_spec_pb2.PipelineDeploymentConfig,
) -> Iterator[str]:
    label = component.executor_label
    if not label:
        yield f"{name} has neither tasks nor an executor"
    elif label not in deployment.executors:
        yield f"{name}: there is no executor {label!r}"
    else:
        kind = deployment.executors[label].WhichOneof("spec")
        if kind not in ("container", "importer"):
            yield f"executor {label!r} is of the kind {kind!r}; only 'container' and 'importer' are implemented"
        elif kind == "container" and not deployment.executors[label].container.image:
            yield f"executor {label!r} has no image"


def _check_order(name: str, tasks: Any) -> Iterator[str]:
    for key, task in tasks.items():
        if unknown := [needed for needed in task.dependent_tasks if needed not in tasks]:
            yield f"task {key!r} of {name} depends on {', '.join(unknown)}, which {name} has not"
    done: set[str] = set()
    waiting = dict(tasks.items())
    while ready := [key for key, task in waiting.items() if done.issuperset(set(task.dependent_tasks) & set(tasks))]:
        done.update(ready)
        for key in ready:
            del waiting[key]
    if waiting:
        yield f"tasks of {name} wait for each other: {', '.join(sorted(waiting))}"


def _check_inputs(
    where: str,
    task: pipeline_spec_pb2.PipelineTaskSpec,
    parent: pipeline_spec_pb2.ComponentSpec,
    component: pipeline_spec_pb2.ComponentSpec,
    tasks: Any,
) -> Iterator[str]:
    declared = component.input_definitions.parameters
    for name, parameter in declared.items():
        if parameter.parameter_type == _UNTYPED:
            yield f"{where}: input {name!r} has no type"
        if name not in task.inputs.parameters and not parameter.is_optional and not parameter.HasField("default_value"):
            yield f"{where}: input {name!r} is not given"
    for name, given in task.inputs.parameters.items():
        if name not in declared:
            yield f"{where}: input {name!r} is given, but not declared"
        kind = given.WhichOneof("kind")
        if kind == "component_input_parameter":
            if given.component_input_parameter not in parent.input_definitions.parameters:
                yield f"{where}: input {name!r} refers to {given.component_input_parameter!r}, which is not there"
        elif kind == "task_output_parameter":
            if given.task_output_parameter.producer_task not in tasks:
                yield f"{where}: input {name!r} refers to an output of a task that is not there"
        elif kind == "task_final_status":
            if given.task_final_status.producer_task not in task.dependent_tasks:
                yield f"{where}: input {name!r} refers to the state of a task that it does not wait for"
        elif kind == "runtime_value":
            yield from _check_constant(f"{where}: input {name!r}", given.runtime_value)
        else:
            yield f"{where}: input {name!r} has no value"


def _check_constant(where: str, value: pipeline_spec_pb2.ValueOrRuntimeParameter) -> Iterator[str]:
    if value.WhichOneof("value") != "constant":
        yield f"{where} is no constant"
    elif value.constant.WhichOneof("kind") == "string_value":
        text = value.constant.string_value
        if text not in _KNOWN_PLACEHOLDERS and (unknown := set(_PLACEHOLDER.findall(text))):
            yield f"{where} holds placeholders that nothing fills in: {', '.join(sorted(unknown))}"
        if "$(" in text:
            yield f"{where} holds '$(', which Kubernetes takes for a variable"


def _check_platform(
    platform: pipeline_spec_pb2.PlatformSpec, deployment: pipeline_spec_pb2.PipelineDeploymentConfig
) -> Iterator[str]:
    for label, options in platform.platforms["kubernetes"].deployment_spec.executors.items():
        if label not in deployment.executors:
            yield f"the platform specification has an executor {label!r}, which the pipeline has not"
        try:
            config = json_format.ParseDict(
                json_format.MessageToDict(options), kubernetes_executor_config_pb2.KubernetesExecutorConfig()
            )
        except json_format.ParseError as error:
            yield f"platform specification of {label!r}: {error}"
            continue
        where = f"platform specification of {label!r}"
        if newer := sorted(set(_fields_set(config)) & _NOT_EVERYWHERE):
            yield f"{where}: not every KFP from 2.14 to 2.17 knows {', '.join(newer)}"
        yield from _check_volumes(where, config)


def _check_volumes(where: str, config: kubernetes_executor_config_pb2.KubernetesExecutorConfig) -> Iterator[str]:
    mounts = [*config.pvc_mount, *config.secret_as_volume, *config.empty_dir_mounts]
    places = [mount.mount_path.rstrip("/") for mount in mounts]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        yield f"{where}: several volumes are mounted at {', '.join(twice)}"
    if _LAUNCHER_FOLDER in places:
        yield f"{where}: {_LAUNCHER_FOLDER} is where KFP's launcher lies"
    claims = {mount.constant for mount in config.pvc_mount}
    secrets = {mount.secret_name for mount in config.secret_as_volume}
    folders = {mount.volume_name for mount in config.empty_dir_mounts}
    # The driver names a volume after its claim or Secret.
    names = [*claims, *secrets, *folders, *_VOLUMES_OF_KFP]
    if shared := sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: several volumes would be called {', '.join(shared)}"
    if wrong := sorted(name for name in claims | secrets | folders if not _TASK_NAME.fullmatch(name)):
        yield f"{where}: {', '.join(wrong)} cannot be the name of a volume; allowed are lower-case letters, digits, '-'"
