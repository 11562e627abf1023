"""The configuration: typed, validated, from defaults, a TOML file and `--set` options."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from components.release_metrics.names import OVERALL, PER_CLASS, PROPORTIONS
from pipeline.evaluation_result import ALL_IMAGES
from pipeline.kubeflow_options import KubeflowOptions
from trainer.options import TrainOptions

Share = Annotated[float, Field(ge=0, le=1)]


class ConfigError(Exception):
    """The configuration cannot be used; the message is one line that names field, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SplitRatios(_Section):
    """Hash buckets of each split: 70, 15 and 15 are 70%, 15% and 15% of the groups."""

    train: Annotated[int, Field(ge=1, le=1000, description="images the network learns from")] = 70
    eval: Annotated[int, Field(ge=1, le=1000, description="images that choose the model")] = 15
    test: Annotated[int, Field(ge=1, le=1000, description="images that the gate sees, and nothing before it")] = 15


class DataOptions(_Section):
    """What is read, and what is refused."""

    classes: Annotated[
        tuple[str, ...], Field(description="class folders in label order; empty: every top folder that holds a file")
    ] = ()
    split: SplitRatios = SplitRatios()
    min_side: Annotated[int, Field(ge=1, le=100_000, description="smallest accepted width and height, pixels")] = 32
    # TensorFlow and Pillow decode no more, and no tf.Example may reach 2 GiB.
    max_pixels: Annotated[int, Field(ge=1, le=178_956_970, description="largest accepted width times height")] = (
        50_000_000
    )
    max_bytes: Annotated[int, Field(ge=1, le=1_000_000_000, description="largest accepted file")] = 50_000_000
    max_rejected_share: Annotated[Share, Field(description="share of rejected files that stops the run")] = 0.1
    max_imbalance: Annotated[
        Share, Field(description="difference of a class's share of a split from its share of all images, beyond chance")
    ] = 0.1
    group_by: Annotated[
        str, Field(description="pattern of paths (site, photograph, day) whose first group names an image's group")
    ] = ""

    @field_validator("group_by")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("classes")
    @classmethod
    def _usable(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if classes and (len(set(classes)) < max(2, len(classes)) or any(not name or "/" in name for name in classes)):
            raise ValueError("give two or more different names of top folders, or none")
        return classes


class Bounds(_Section):
    """Lowest and highest value that any image may have."""

    min: float
    max: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must not exceed max, received {self.min:g} and {self.max:g}")
        return self


class SchemaOptions(_Section):
    """What the images have to be like; one image outside a range stops the run."""

    height: Annotated[Bounds, Field(description="pixels")] = Bounds(min=1, max=100_000)
    width: Annotated[Bounds, Field(description="pixels")] = Bounds(min=1, max=100_000)
    brightness: Annotated[Bounds, Field(description="mean grey level, 0 to 255")] = Bounds(min=0, max=255)
    contrast: Annotated[Bounds, Field(description="standard deviation of the grey levels")] = Bounds(min=0, max=128)
    # The Laplacian lies between -1020 and 1020, so its variance is 1020 squared at most.
    sharpness: Annotated[Bounds, Field(description="variance of the Laplacian; blurred is low")] = Bounds(
        min=0, max=1_040_400
    )
    entropy: Annotated[Bounds, Field(description="of the grey levels, bits; 0 is a blank picture, 8 the most")] = (
        Bounds(min=0, max=8)
    )
    bytes: Annotated[Bounds, Field(description="size of the file")] = Bounds(min=1, max=1_000_000_000)
    min_images_per_split: Annotated[
        int, Field(ge=1, le=1_000_000_000, description="fewest images in train, eval and test")
    ] = 10


class DriftOptions(_Section):
    """How much the measured qualities of the images may differ, as Jensen-Shannon divergence beyond chance."""

    max_drift: Annotated[
        Share, Field(description="of a split from that of the last released run in this workspace")
    ] = 0.2
    max_skew: Annotated[Share, Field(description="of eval and of test from train")] = 0.2


class SliceOptions(_Section):
    """Which images count as hard ones, by their measured qualities (see `SchemaOptions` for the units)."""

    dark: Annotated[float, Field(ge=0, le=255, description="brightness below which an image is dark")] = 100
    bright: Annotated[float, Field(ge=0, le=255, description="brightness above which it is bright")] = 210
    blurred: Annotated[float, Field(ge=0, description="sharpness below which it is blurred")] = 15
    low_contrast: Annotated[float, Field(ge=0, le=128, description="contrast below which it is of low contrast")] = 6


class RequireOptions(_Section):
    """One more requirement: of any metric, on all test images or on a slice of them."""

    metric: Annotated[str, Field(description="what is measured: a name in components/release_metrics/names.py")]
    label: Annotated[str, Field(description="the class that it is about, for metrics of one class")] = ""
    slice: Annotated[str, Field(description="'all images', 'dark', 'class Positive', ...")] = ALL_IMAGES
    min: Annotated[float | None, Field(description="least allowed")] = None
    max: Annotated[float | None, Field(description="most allowed")] = None
    max_drop: Annotated[
        float | None,
        Field(ge=0, description="change for the worse against the last released model; else max_slice_drop"),
    ] = None
    max_relative_drop: Annotated[float | None, Field(ge=0, description="the same as a share of that model's")] = None
    judged_by: Annotated[
        Literal["estimate", "bound"] | None,
        Field(description="what min and max are held against; unset: as gate.positive_recall_by, or the estimate"),
    ] = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in OVERALL + PER_CLASS:
            raise ValueError(f"allowed are {', '.join(OVERALL + PER_CLASS)}")
        return name

    @model_validator(mode="after")
    def _decidable(self) -> Self:
        if (self.metric in PER_CLASS) != bool(self.label):
            need = "a label, the class that it is about" if self.metric in PER_CLASS else "no label: it is about all"
            raise ValueError(f"{self.metric} takes {need}; received label {self.label!r}")
        if {self.min, self.max, self.max_drop, self.max_relative_drop} == {None}:
            raise ValueError("nothing is required: set min, max, max_drop or max_relative_drop")
        if self.judged_by == "bound" and self.metric not in PROPORTIONS:
            raise ValueError(
                f"judged_by 'bound' needs an interval that is exact for few images, too: {', '.join(PROPORTIONS)} have "
                f"one, {self.metric} has not"
            )
        return self


class TuneOptions(_Section):
    """A search for better learning rates, dropout and depth of the fine-tuning before the training itself."""

    trials: Annotated[
        int, Field(ge=0, le=1000, description="trainings to compare on eval, the configured one first; 0: no search")
    ] = 0


class GateOptions(_Section):
    """What a model has to reach on the test split, through its served signature, to be released."""

    min_accuracy: Annotated[Share, Field(description="share of right answers")] = 0.9
    min_auc: Annotated[Share, Field(description="area under the ROC curve, of each class against the rest")] = 0.95
    min_precision: Annotated[Share, Field(description="precision of each class")] = 0.8
    min_recall: Annotated[Share, Field(description="recall of each class")] = 0.8
    positive_recall_by: Annotated[
        Literal["estimate", "lower bound"],
        Field(description="what has to reach min_recall for the positive class: its estimate, or its lower bound"),
    ] = "lower bound"
    max_accuracy_drop: Annotated[
        Share, Field(description="accuracy that may be lost against the last released model, on the same images")
    ] = 0.01
    max_recall_drop: Annotated[
        Share, Field(description="the same for the recall of the positive class, or of each class when there is none")
    ] = 0.02
    max_slice_drop: Annotated[
        Share, Field(description="the same for each figure that gate.require names, in its slice")
    ] = 0.02
    require: Annotated[tuple[RequireOptions, ...], Field(description="more requirements")] = ()
    min_images: Annotated[
        int, Field(ge=1, le=1_000_000, description="with fewer images in a slice (of the class), it only warns")
    ] = 30
    slices: SliceOptions = SliceOptions()
    confidence: Annotated[
        float, Field(gt=0, lt=1, description="of the intervals, two-sided: of 0.95, 2.5 % are below the lower bound")
    ] = 0.95
    fixed_precision: Annotated[Share, Field(description="where recall_at_precision is read off")] = 0.95
    fixed_recall: Annotated[Share, Field(description="where precision_at_recall is read off")] = 0.95


class ServingCheckOptions(_Section):
    """What the exported model has to give on the machine of the run, in a process that has only TensorFlow."""

    score_tolerance: Annotated[
        float, Field(gt=0, le=1, description="how far a score may be from the one recorded at training")
    ] = 1e-5
    max_p50_ms: Annotated[float, Field(gt=0, description="median of the time for one image, milliseconds")] = 1000.0
    max_p99_ms: Annotated[float, Field(gt=0, description="the same, 99th percentile")] = 5000.0
    max_memory_mib: Annotated[
        float, Field(gt=0, description="most resident memory, TensorFlow itself (500 MiB) included")
    ] = 4096.0
    max_seconds: Annotated[float, Field(gt=0, description="for everything; a model that hangs is stopped then")] = 600.0


# The components that run on Beam.
BEAM_COMPONENTS = ("ImageExampleGen", "StatisticsGen", "DataPage", "LeakCheck", "Evaluator")


def _check_argument(argument: str) -> str:
    if not re.match("--[a-z]", argument):
        raise ValueError("an argument of Beam or of its runner is like --name=value")
    return argument


def _check_address(address: str) -> str:
    if not re.fullmatch(r"\S+:\d+", address):
        raise ValueError("an address is HOST:PORT")
    return address


BeamArgument = Annotated[str, AfterValidator(_check_argument)]
HostAndPort = Annotated[str, AfterValidator(_check_address)]


class DataflowOptions(_Section):
    """What Google Cloud Dataflow needs to know; the names are Beam's."""

    project: Annotated[str | None, Field(description="pays for it")] = None
    region: Annotated[str | None, Field(description="for example europe-west1")] = None
    temp_location: Annotated[str | None, Field(pattern="^gs://", description="for temporary files")] = None
    sdk_container_image: Annotated[str | None, Field(description="this project's image")] = None
    service_account_email: Annotated[str | None, Field(description="what the workers run as")] = None
    max_num_workers: Annotated[int | None, Field(ge=1, description="of Dataflow's autoscaling")] = None


class BeamOptions(_Section):
    """Where the Beam steps run; see docs/flink.md."""

    profile: Annotated[
        Literal["auto", "local", "local-parallel", "flink", "spark", "dataflow"],
        Field(description="auto: local, or from some thousands of images on local-parallel"),
    ] = "auto"
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=256,
            description="processes of local-parallel; 0: one for each core, or as auto decides; 1: no other process",
        ),
    ] = 0
    job_endpoint: Annotated[HostAndPort, Field(description="of the Beam job server of flink or spark")] = (
        "localhost:8099"
    )
    worker_pool: Annotated[
        HostAndPort, Field(description="where each task manager or executor finds its pool of Python workers")
    ] = "localhost:50000"
    parallelism: Annotated[
        int, Field(ge=0, le=32768, description="slots that a step takes of Flink; 0: as Flink is configured")
    ] = 0
    dataflow: DataflowOptions = DataflowOptions()
    args: Annotated[tuple[BeamArgument, ...], Field(description="more arguments of all components, as they are")] = ()
    component_args: Annotated[
        dict[str, tuple[BeamArgument, ...]], Field(description="more arguments by component; they win")
    ] = {}

    @field_validator("component_args")
    @classmethod
    def _on_beam(cls, arguments: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if unknown := [name for name in arguments if name not in BEAM_COMPONENTS]:
            raise ValueError(f"{', '.join(unknown)}: allowed are {', '.join(BEAM_COMPONENTS)}")
        return arguments

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.profile == "local" and self.workers > 1:
            raise ValueError("the profile 'local' has one worker: choose 'local-parallel', or leave workers out")
        needed = ("project", "region", "temp_location", "sdk_container_image")
        missing = [name for name in needed if getattr(self.dataflow, name) is None]
        if self.profile == "dataflow" and missing:
            raise ValueError(f"the profile 'dataflow' needs {', '.join(f'beam.dataflow.{name}' for name in missing)}")
        return self


class ReleaseOptions(_Section):
    """How a model that passed is released."""

    signing_key: Annotated[
        str,
        Field(
            description="file of an Ed25519 private key (PEM, no passphrase), or env:NAME for the environment variable "
            "that holds one; empty: releases are not signed"
        ),
    ] = ""
    keep: Annotated[
        int,
        Field(ge=0, le=10_000, description="released versions to keep, those in use besides; 0: all"),
    ] = 0

    @field_validator("signing_key")
    @classmethod
    def _names_a_key(cls, source: str) -> str:
        # Whatever stands here is written into summaries, logs and ML Metadata.
        if _looks_secret(source):
            raise ValueError("give the path of the key's file or env:NAME, never the key itself")
        return source


class Config(_Section):
    """Everything that can be set."""

    data: DataOptions = DataOptions()
    data_schema: Annotated[SchemaOptions, Field(alias="schema")] = SchemaOptions()
    drift: DriftOptions = DriftOptions()
    train: TrainOptions = TrainOptions()
    tune: TuneOptions = TuneOptions()
    gate: GateOptions = GateOptions()
    serving_check: ServingCheckOptions = ServingCheckOptions()
    beam: BeamOptions = BeamOptions()
    release: ReleaseOptions = ReleaseOptions()
    kubeflow: KubeflowOptions = KubeflowOptions()

    def digest_of_model(self) -> str:
        """SHA-256 over what decides about a model: not where it runs, nor how the model is released."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"beam", "release", "kubeflow"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_config(file: Path | None = None, assignments: list[str] | None = None) -> Config:
    """Reads the configuration.

    Args:
        file: TOML file; None for the defaults.
        assignments: "section.field=value", each over what stands in the file. The value is TOML; what is no TOML is
            taken as text.

    Raises:
        ConfigError: The file cannot be read, or a field is unknown or bad.
    """
    content = _read_toml(file) if file else {}
    for assignment in assignments or []:
        _assign(content, assignment)
    try:
        return Config.model_validate(_over(Config().model_dump(by_alias=True), content))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Section by section, so that one bound can be set and the other stays."""
    merged = dict(defaults)
    for name, value in given.items():
        default = defaults.get(name)
        merged[name] = _over(default, value) if isinstance(default, dict) and isinstance(value, dict) else value
    return merged


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(file)!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of the bytes, the syntax, a number's length, the nesting
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}") from None


def _assign(content: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    *sections, field = (part.strip() for part in path.split("."))
    if not equals or not sections or not all((*sections, field)):
        raise ConfigError(
            f"--set takes section.field=value, for example gate.min_accuracy=0.95; received {assignment!r}"
        )
    target = content
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {assignment!r}: {section!r} is a value, not a section")
    target[field] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def _one_line(error: ValidationError) -> str:
    return "; ".join(_describe(problem) for problem in error.errors())


# Where pydantic speaks of Python's types.
_PLAIN = {"tuple_type": 'Input should be a list, for example ["Negative", "Positive"]', "model_type": "It is a section"}


def _describe(problem: Any) -> str:
    path = [part if part.isprintable() else repr(part) for part in map(str, problem["loc"])]
    if problem["type"] == "extra_forbidden":
        return f"{'.'.join(path)} is not a field; {_allowed_names(path[:-1])}"
    message = _PLAIN.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
    received = "a private key" if _looks_secret(problem["input"]) else repr(problem["input"])
    return f"{'.'.join(path)}: received {received}: {message[0].lower()}{message[1:]}"


def _looks_secret(value: Any) -> bool:
    return "PRIVATE KEY" in str(value)


def _allowed_names(path: list[str]) -> str:
    section: type[BaseModel] = Config
    for name in path:
        if name.isdecimal():  # a position in a list, which has been stepped into
            continue
        fields = {field.alias or key: field for key, field in section.model_fields.items()}
        if name not in fields:  # the key of a table, such as a node's id
            continue
        annotation = fields[name].annotation
        inner = [each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
        annotation = next(iter(inner), annotation)
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel), "only sections forbid extra fields"
        section = annotation
    names = ", ".join(field.alias or key for key, field in section.model_fields.items())
    return f"{'.'.join(path) or 'the configuration'} has {names}"
