"""The section `[kubeflow]`: where the tasks run on Kubernetes, and with which resources."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_serializer, field_validator, model_validator

from crackgate.config.section import Section
from crackgate.storage.location import is_url, parse_location, split_url

# Kubernetes' quantities: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_CPU = re.compile(r"(0|[1-9]\d*)(\.\d+)?|[1-9]\d*m")
_MEMORY = re.compile(r"[1-9]\d*(\.\d+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")
# Claims, and Secrets that are mounted, become names of volumes: RFC 1123 labels.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Paths stand unescaped inside JSON. Argo would expand {{...}}, and Kubernetes $(...).
_PATH = re.compile(r"(/|gs://[a-z0-9][-a-z0-9_.]+)((?!\{\{|\$\()[^\x00-\x1f\x7f\"\\])*")
# Tasks that read the images find kubeflow.data_secret here.
DATA_SECRET_FOLDER = "/etc/crackgate/data"
# The Pusher's task finds kubeflow.signing_secret here, one file for each key.
SIGNING_FOLDER = "/etc/crackgate/signing"


def check_path(path: str) -> str:
    """Returns the path; raises ValueError if it is neither absolute nor `gs://`, or holds unsafe characters."""
    if not _PATH.fullmatch(path):
        raise ValueError(
            "give an absolute path inside the containers, or gs://BUCKET/..., "
            'without control characters, ", \\, {{ and $('
        )
    return path


def check_data(place: str) -> str:
    """Returns an absolute path or a URL of a store; raises ValueError for others, and for unsafe characters."""
    if not is_url(place):
        return check_path(place)
    try:
        url = str(parse_location(place))
    except ValueError as error:
        raise ValueError(f"{error}, absolute inside the containers") from None
    check_path("/" + split_url(url)[1])
    return url


def below(folder: str, path: str) -> str:
    """Returns the path; a relative one is put below the folder."""
    return path if path.startswith(("/", "gs://")) or not path else f"{folder.rstrip('/')}/{path}"


def _check_image(image: str) -> str:
    if image and not _IMAGE.fullmatch(image):
        raise ValueError(
            "give an image with its registry, for example registry.example.com/crackgate:0.1.0 or ...@sha256:..."
        )
    return image


Image = Annotated[str, AfterValidator(_check_image)]
TaskPath = Annotated[str, AfterValidator(check_path)]
TaskData = Annotated[str, AfterValidator(check_data)]


class Toleration(Section):
    """A taint of nodes that a task tolerates."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoExecute", "NoSchedule", "PreferNoSchedule"] = ""

    @model_validator(mode="after")
    def _decidable(self) -> "Toleration":
        if self.operator == "Equal" and not self.key:
            raise ValueError("key: without one, operator must be 'Exists', which tolerates every taint")
        if self.operator == "Exists" and self.value:
            raise ValueError(f"value: operator 'Exists' takes none, received {self.value!r}")
        return self


class NodeOptions(Section):
    """Resources, nodes and retries of one task."""

    cpu: Annotated[str, Field(description="requested and most allowed, cores: '2', '500m'")] = "2"
    memory: Annotated[str, Field(description="requested and most allowed: '8Gi'")] = "8Gi"
    shared_memory: Annotated[
        str, Field(description="size of /dev/shm, held in memory and part of it; empty: the container runtime's 64 MiB")
    ] = "512Mi"
    accelerator: Annotated[
        str, Field(description="resource that the nodes offer, for example 'nvidia.com/gpu'; empty: none")
    ] = ""
    accelerators: Annotated[int, Field(ge=1, le=16, description="how many of them")] = 1
    node_selector: Annotated[dict[str, str], Field(description="labels that the node must have")] = {}
    tolerations: Annotated[tuple[Toleration, ...], Field(description="taints that the node may have")] = ()
    timeout: Annotated[
        int, Field(ge=0, le=2_592_000, description="seconds after which an attempt is stopped; 0: never")
    ] = 86_400
    retries: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="more attempts after one that failed; tasks that may refuse have none, unless in nodes.NODE",
        ),
    ] = 2
    retry_delay: Annotated[int, Field(ge=0, le=3600, description="seconds before the first of them")] = 30
    retry_factor: Annotated[
        int, Field(ge=1, le=10, description="by which each next wait is longer; Argo takes whole numbers only")
    ] = 2
    image: Annotated[Image, Field(description="another image than kubeflow.image")] = ""

    @field_validator("cpu")
    @classmethod
    def _cores(cls, text: str) -> str:
        if not _CPU.fullmatch(text) or not float(text.removesuffix("m")):
            raise ValueError("give a number of cores, for example '2', '0.5' or '500m'")
        return text

    @field_validator("memory", "shared_memory")
    @classmethod
    def _bytes(cls, text: str, field: ValidationInfo) -> str:
        if not _MEMORY.fullmatch(text) and (text or field.field_name == "memory"):
            raise ValueError("give an amount of memory, for example '8Gi' or '512Mi'")
        return text

    @field_validator("accelerator")
    @classmethod
    def _resource(cls, name: str) -> str:
        if name and ("/" not in name or not _LABEL_KEY.fullmatch(name)):
            raise ValueError("give the resource's full name, for example 'nvidia.com/gpu', or nothing")
        return name

    @field_validator("node_selector")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f"{key!r} = {value!r} is no label of Kubernetes")
        return labels


class Volume(Section):
    """A volume that every task sees: a claim that many nodes may mount at once (ReadWriteMany)."""

    claim: Annotated[str, Field(description="name of the PersistentVolumeClaim")]
    mount: Annotated[str, Field(description="where the tasks find it; /gcs/BUCKET for a bucket")]

    @field_validator("claim")
    @classmethod
    def _named(cls, claim: str) -> str:
        if not _LABEL.fullmatch(claim):
            raise ValueError("give the name of a claim: at most 63 lower-case letters, digits and '-'")
        return claim

    @field_validator("mount")
    @classmethod
    def _absolute(cls, mount: str) -> str:
        if mount.startswith("gs:") or mount == "/":
            raise ValueError("give an absolute path inside the containers, not '/'")
        return check_path(mount)


class KubeflowOptions(Section):
    """The resources and paths of `crackgate kubeflow`; the tasks see these paths."""

    image: Annotated[Image, Field(description="the image of every task, best by digest; needed to compile")] = ""
    workspace: Annotated[
        TaskPath,
        Field(description="folder on a shared volume for artifacts, reports and logs; default of a run parameter"),
    ] = "/workspace"
    data: Annotated[
        TaskData, Field(description="folder of the images, or the URL of a bucket's prefix; default of a run parameter")
    ] = "/data"
    serving: Annotated[
        str, Field(description="receives <version>/; default of a run parameter; relative: below the workspace")
    ] = "/serving"
    mlmd_secret: Annotated[
        str, Field(description="Secret with MLMD_HOST, MLMD_DATABASE, MLMD_USER, MLMD_PASSWORD and what else is needed")
    ] = "crackgate-mlmd"
    data_secret: Annotated[
        str,
        Field(
            description=f"Secret with the credentials of the bucket that data names, whose keys become environment "
            f"variables of the tasks that read it, or files in {DATA_SECRET_FOLDER}; empty: none"
        ),
    ] = ""
    signing_secret: Annotated[
        str,
        Field(
            description=f"Secret that the Pusher alone finds in {SIGNING_FOLDER}, where release.signing_key names a "
            "file; empty: none"
        ),
    ] = ""
    image_pull_secrets: Annotated[
        tuple[str, ...], Field(description="Secrets with which the nodes pull the image from a private registry")
    ] = ()
    volumes: Annotated[tuple[Volume, ...], Field(description="mounted by every task")] = (
        Volume(claim="crackgate-workspace", mount="/workspace"),
        Volume(claim="crackgate-data", mount="/data"),
        Volume(claim="crackgate-serving", mount="/serving"),
    )
    node: Annotated[NodeOptions, Field(description="options of every task")] = NodeOptions()
    nodes: Annotated[
        dict[str, NodeOptions], Field(description="options of single tasks, by TFX's node id, Verdict and Report")
    ] = {}

    @field_validator("serving")
    @classmethod
    def _usable_below(cls, path: str) -> str:
        check_path(below("/", path))
        return path

    @field_validator("mlmd_secret", "data_secret", "signing_secret")
    @classmethod
    def _named(cls, name: str, field: ValidationInfo) -> str:
        if not _LABEL.fullmatch(name) and (name or field.field_name == "mlmd_secret"):
            raise ValueError("give the name of a Secret: at most 63 lower-case letters, digits and '-'")
        return name

    @field_validator("image_pull_secrets")
    @classmethod
    def _named_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in names if not _LABEL.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no name of a Secret: at most 63 lower-case letters, digits and '-'")
        return names

    @field_validator("volumes")
    @classmethod
    def _apart(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        mounts = [volume.mount.rstrip("/") for volume in volumes]
        if twice := [mount for mount in mounts if mounts.count(mount) > 1]:
            raise ValueError(f"{twice[0]!r} is mounted twice: give each volume a place of its own")
        return volumes

    @field_serializer("nodes")
    def _as_given(self, nodes: dict[str, NodeOptions]) -> dict[str, dict[str, Any]]:
        """Without defaults: `of_node` would take them for the node's own options."""
        return {name: node.model_dump(mode="json", exclude_unset=True) for name, node in nodes.items()}

    def of_node(self, node: str) -> NodeOptions:
        """Returns the options of a node: its own override those of every node."""
        own = self.nodes.get(node, NodeOptions())
        return self.node.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
