"""Releasing, rolling back and running again, with TFX's launcher, its cache and a SavedModel that tells its version."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tensorflow_model_analysis.proto.metrics_for_slice_pb2 import MetricsForSlice
from tfx import v1 as tfx
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.orchestration.metadata import Metadata
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import standard_artifacts
from tfx.utils.path_utils import serving_model_path

from components.release_pusher.component import ReleasePusher
from components.resolvers.baseline import ModelInProductionStrategy
from crackgate.config.configuration import Config
from crackgate.config.release import ReleaseOptions
from crackgate.contracts.model_files import CARD_FILE, MODEL_VERSION_FILE, STATISTICS_FOLDER
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.pushed_model import PUSHED_DESTINATION, PUSHED_VERSION
from crackgate.contracts.stored_example import SPLITS
from crackgate.contracts.verdict import Verdict
from crackgate.releases import (
    Lineage,
    NotComparedError,
    Release,
    State,
    approve,
    list_versions,
    publish,
    read_manifest,
    reject,
    roll_back,
    verify,
)
from crackgate.releases.manifest import measure_model
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Artifact, Execution
from crackgate.runs.summary import Summary, begin_summary

if TYPE_CHECKING:
    from conftest import Bench

# TFX's own, laid at our door because we call it.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


CLASSES = ["Negative", "Positive"]


class Classifier(tf.Module):
    """Tells the number in its asset."""

    def __init__(self, weight: float, asset: Path):
        super().__init__()
        self.weight = tf.Variable(weight)
        line, whole = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
        lines = tf.lookup.TextFileInitializer(str(asset), tf.int64, line, tf.string, whole)
        # As a released model reads it: one with operations on files is no baseline.
        self.version = tf.lookup.StaticHashTable(lines, default_value="")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        version = self.version.lookup(tf.constant(0, tf.int64))
        return {
            "scores": tf.fill(tf.shape(examples), self.weight),
            "model_version": tf.fill(tf.shape(examples), version),
        }


def save_model(artifact: Path, weight: float) -> None:
    """As the Trainer leaves it."""
    artifact.mkdir(parents=True)
    asset = artifact / MODEL_VERSION_FILE.name
    asset.write_text("unreleased\n")
    module = Classifier(weight, asset)
    folder = artifact / "Format-Serving"
    tf.saved_model.save(module, str(folder), signatures=module.serving_default)
    (folder / CARD_FILE).parent.mkdir()
    (folder / CARD_FILE).write_text(json.dumps({"classes": CLASSES}))


def write_evaluation(folder: Path) -> Path:
    """As TFMA stores it: accuracy of both models, a recall, one that cannot be computed, and a slice."""
    folder.mkdir()
    overall, dark = MetricsForSlice(), MetricsForSlice()
    dark.slice_key.single_slice_keys.add(column="slice").bytes_value = b"dark"
    for stored, name, model, label, value in (
        (overall, "images", "candidate", None, 120.0),
        (overall, "accuracy", "candidate", None, 0.75),
        (overall, "accuracy", "baseline", None, 0.5),
        (overall, "accuracy in all images at least 0.5", "candidate", None, 0.75),
        (overall, "recall", "candidate", 1, 0.875),
        (overall, "auc", "candidate", 0, float("nan")),
        (dark, "accuracy", "candidate", None, 0.25),
    ):
        pair = stored.metric_keys_and_values.add()
        pair.key.name, pair.key.model_name = name, model
        if label is not None:
            pair.key.sub_key.class_id.value = label
        pair.value.double_value.value = value
    with tf.io.TFRecordWriter(str(folder / "metrics-00000-of-00001.tfrecord")) as writer:
        for stored in (overall, dark):
            writer.write(stored.SerializeToString())
    return folder


class Releases:
    """Runs of Importers, BaselineResolver and Pusher, one after the other in one workspace."""

    def __init__(self, bench: "Bench", root: Path, saved: Path):
        self.bench, self.root = bench, root
        self.serving = root / "serving"
        self.models = {model.name: Path(shutil.copytree(model, root / model.name)) for model in saved.iterdir()}
        self.evaluation = write_evaluation(root / "evaluation")
        (root / "blessing").mkdir()
        self.statistics = root / "statistics"
        for split in SPLITS:
            (self.statistics / f"Split-{split}").mkdir(parents=True)
            (self.statistics / f"Split-{split}" / "FeatureStats.pb").write_bytes(split.encode())

    def run(self, name: str, blessed: int = 1, servable: int = 1, against: int | str = 0, **options: Any) -> Any:
        """Judges and releases a model that was compared with a version, and returns what the Pusher noted."""

        def known(key: str, uri: Path, kind: type, **properties: Any) -> tfx.dsl.Importer:
            return tfx.dsl.Importer(source_uri=str(uri), artifact_type=kind, custom_properties=properties).with_id(key)

        model = known("Trainer", self.models[name], standard_artifacts.Model)
        baseline = str(self.root / "copies" / f"{against}-{16 * 'a'}") if isinstance(against, int) else against
        judged = {"blessed": blessed, **({"baseline_model": baseline} if against else {})}
        blessing = known("Evaluator", self.root / "blessing", standard_artifacts.ModelBlessing, **judged)
        check = known("ServingCheck", self.root / "blessing", standard_artifacts.InfraBlessing, blessed=servable)
        evaluation = known("Evaluation", self.evaluation, standard_artifacts.ModelEvaluation)
        examples = known("Examples", self.root, standard_artifacts.Examples, **{FINGERPRINT_PROPERTY_NAME: "f1"})
        statistics = known("Statistics", self.statistics, standard_artifacts.ExampleStatistics)
        released = {"serving_dir": str(self.serving), "classes": CLASSES, "public_key": ""}
        resolver = tfx.dsl.Resolver(
            strategy_class=ModelInProductionStrategy,
            config={**released, "copies": str(self.root / "copies")},
            model=tfx.dsl.Channel(type=standard_artifacts.Model),
            candidate=model.outputs["result"],
        ).with_id("BaselineResolver")
        pusher = ReleasePusher(
            model=model.outputs["result"],
            model_blessing=blessing.outputs["result"],
            infra_blessing=check.outputs["result"],
            evaluation=evaluation.outputs["result"],
            examples=examples.outputs["result"],
            statistics=statistics.outputs["result"],
            serving_dir=self.serving,
            options=ReleaseOptions(**options),
            config_digest="c1",
        ).with_id("Pusher")
        pusher.add_upstream_node(resolver)
        self.bench.run(model, blessing, check, evaluation, examples, statistics, resolver, pusher)
        return self.bench.output("Pusher", "pushed_model")

    @property
    def baseline(self) -> int | None:
        """The version that the last run would have been compared with."""
        last = self.bench._executions("BaselineResolver")[-1]
        with Metadata(self.bench._connection()) as handle:
            found = execution_lib.get_output_artifacts(handle, last.id).get("model", [])
        if not found:
            return None
        released = Path(found[0].get_string_custom_property(PUSHED_DESTINATION))
        copied = Path(serving_model_path(found[0].uri))
        assert measure_model(copied) == measure_model(released) == read_manifest(released).model_digest
        return int(found[0].get_string_custom_property(PUSHED_VERSION))

    @property
    def states(self) -> dict[int, State]:
        return {version.number: version.state for version in list_versions(self.serving)}

    def conclude(self, pushed: Any, run_id: str = "another") -> Summary:
        """What a run says that ended with this note."""
        summary = begin_summary(run_id, Path("/data"), CLASSES, PositiveClasses(), Config(), Path("/log"))
        properties = {"pushed_destination": pushed.get_string_custom_property("pushed_destination")}
        note = Artifact(pushed.id, "PushedModel", pushed.uri, properties)
        pusher = Execution(1, "run", "Pusher", "complete", 1.0, {}, outputs={"pushed_model": [note]})
        conclude(summary, {"Pusher": pusher})
        return summary


def is_pushed(pushed: Any) -> bool:
    return bool(pushed.get_int_custom_property("pushed"))


def version_of(pushed: Any) -> int:
    assert is_pushed(pushed)
    folder = Path(pushed.get_string_custom_property("pushed_destination"))
    assert folder.name == pushed.get_string_custom_property("pushed_version")
    return int(folder.name)


def served_version(folder: Path) -> str:
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](tf.constant([b"an example"]))
    return answer["model_version"].numpy()[0].decode()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, which `Releases` copies."""
    folder = tmp_path_factory.mktemp("saved")
    weights = {"a": 0.1, "b": 0.2, "c": 0.3, "a, trained again": 0.1, "b, trained again": 0.2}
    for name, weight in weights.items():
        save_model(folder / name, weight)
    return folder


@pytest.fixture
def releases(new_bench: Callable[..., "Bench"], saved: Path, tmp_path: Path) -> Releases:
    return Releases(new_bench(), tmp_path, saved)


def test_a_release_says_what_it_is_and_is_taken_over_when_nothing_changed(releases: Releases) -> None:
    pushed = releases.run("a")
    number = version_of(pushed)
    folder = releases.serving / str(number)
    assert served_version(releases.models["a"] / "Format-Serving") == "unreleased"
    assert served_version(folder) == str(number) and verify(folder, version=number).intact
    manifest = read_manifest(folder)
    assert {value.key: value.value for value in manifest.metrics if value.value is not None} == {
        ("images", None): 120,
        ("accuracy", None): 0.75,
        ("recall", "Positive"): 0.875,
    }
    assert ("auc", "Negative") in {value.key for value in manifest.metrics}, "it could not be computed"
    assert (manifest.config_digest, manifest.lineage.data_fingerprint) == ("c1", "f1")
    assert manifest.lineage.pipeline == "bench" and manifest.lineage.run_id and releases.baseline is None
    assert manifest.lineage.execution == releases.bench._executions("Pusher")[0].id
    inputs = {"model", "model_blessing", "infra_blessing", "evaluation", "examples", "statistics"}
    assert set(manifest.lineage.artifacts) == inputs
    assert (folder / STATISTICS_FOLDER / "Split-train" / "FeatureStats.pb").read_bytes() == b"train"
    assert releases.run("a").id == pushed.id and releases.bench.states("Pusher") == ["COMPLETE", "CACHED"]
    # Other options make the Pusher work anew; the model is in use already.
    assert version_of(releases.run("a", keep=3)) == number and list(releases.states) == [number]
    # A training without the cache exports the same model with other names for its functions.
    exports = [releases.models[name] / "Format-Serving" for name in ("a", "a, trained again")]
    assert measure_model(exports[0]) != measure_model(exports[1])
    assert version_of(releases.run("a, trained again")) == number and list(releases.states) == [number]
    assert releases.conclude(pushed, manifest.lineage.run_id).verdict == Verdict.RELEASED
    assert releases.conclude(pushed).verdict == Verdict.UNCHANGED, "another run released it"


def test_the_baseline_comes_from_the_release_when_the_artifacts_are_gone(
    releases: Releases, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (version_of(releases.run(name)) for name in ("a", "b"))
    for name in ("a", "b"):
        shutil.rmtree(releases.models[name])
    third = version_of(releases.run("c"))
    assert releases.baseline == second
    shutil.rmtree(releases.root / "copies")
    releases.run("c", keep=9)
    assert releases.baseline == second, "not itself"
    # A version that is damaged or has other classes is passed over; the former is said.
    (releases.serving / str(second) / "saved_model.pb").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "crackgate"):
        releases.run("c", keep=8)
    assert releases.baseline == first and f"version {second} is passed over" in caplog.text
    other = Path(shutil.copytree(releases.serving / str(third), releases.root / "other"))
    (other / CARD_FILE).write_text(json.dumps({"classes": ["Positive", "Negative"]}))
    publish(other, releases.serving, Release(lineage=Lineage(pipeline="toy", run_id="toy")))
    releases.run("c", allow_other_classes=True)
    assert releases.baseline == first


def test_a_model_that_failed_a_check_is_not_released(releases: Releases) -> None:
    for failed in ({"blessed": 0}, {"servable": 0}):
        pushed = releases.run("a", **failed)
        assert not is_pushed(pushed) and not pushed.get_string_custom_property("pushed_version")
    assert not releases.serving.exists()


def test_what_was_rolled_back_is_neither_released_again_nor_the_baseline(releases: Releases) -> None:
    first = version_of(releases.run("a"))
    pushed = releases.run("b")
    second = version_of(pushed)
    assert second > first and releases.baseline == first
    roll_back(releases.serving, None, "ann@office", "missed cracks in the rain")
    again = releases.run("b")
    assert again.id == pushed.id and releases.bench.states("Pusher")[-1] == "CACHED" and releases.baseline == first
    refused = releases.run("b", keep=9)
    assert not is_pushed(refused) and refused.get_string_custom_property("pushed_version") == str(second)
    trained_again = releases.run("b, trained again")
    assert releases.states == {first: State.RELEASED, second: State.WITHDRAWN}
    for note in (again, refused, trained_again):
        summary = releases.conclude(note)
        assert (summary.verdict, summary.exit_code, summary.pushed_version) == (Verdict.WITHDRAWN, 3, None)
        assert "by ann@office: missed cracks in the rain" in summary.reasons[0]
        assert f"crackgate rollback --to {second}" in summary.reasons[1]
    third = version_of(releases.run("c"))
    assert third > second and releases.baseline == first, "the one that serves"
    assert not is_pushed(releases.run("b, trained again", keep=8)), "nor after another release"

    roll_back(releases.serving, second, "ann@office", "it was the lens")
    for note in (again, refused):
        assert releases.conclude(note).pushed_version == second, "it was reinstated since"
    for folder in releases.serving.glob(f"{first}*"):
        (folder / "saved_model.pb").unlink()
    summary = releases.conclude(releases.run("a"))
    assert summary.verdict == Verdict.FAILED and "saved_model.pb" in summary.reasons[0]
    assert "run with --no-cache to train and release it anew" in summary.reasons[0]


def test_with_approval_a_model_is_staged_once_and_a_person_decides(releases: Releases) -> None:
    first = version_of(releases.run("a"))
    pushed = releases.run("b", approval=True, against=first)
    staged = version_of(pushed)
    assert releases.states == {first: State.RELEASED, staged: State.STAGED}
    assert [path.name for path in releases.serving.iterdir() if path.name.isdecimal()] == [str(first)]
    summary = releases.conclude(pushed)
    assert (summary.verdict, summary.exit_code, summary.pushed_version) == (Verdict.STAGED, 0, staged)
    assert f"'crackgate approve {staged}'" in summary.reasons[0] and summary.headline.startswith("Staged as version")
    assert version_of(releases.run("b, trained again", approval=True, against=first)) == staged, "it waits already"
    other = version_of(releases.run("c", approval=True, against=first))
    assert releases.baseline == first, "a staged version is no baseline"
    approve(releases.serving, staged, "ann@office", "good")
    summary = releases.conclude(pushed)
    assert (summary.verdict, summary.pushed_to) == (Verdict.UNCHANGED, str(releases.serving / str(staged)))
    assert served_version(releases.serving / str(staged)) == str(staged)
    assert not releases.run("b", approval=True, keep=9).get_int_custom_property("pushed_staged"), (
        "in production already"
    )
    # It was compared with the version before: this run compares it with the present one.
    anew = version_of(releases.run("c", approval=True, keep=9, against=staged))
    assert anew > other and releases.baseline == staged
    reject(releases.serving, anew, "ann@office", "misses hairlines")
    refused = releases.run("c", approval=True, keep=8)
    assert not is_pushed(refused)
    assert releases.conclude(refused).verdict == Verdict.WITHDRAWN
    assert "by ann@office: misses hairlines" in releases.conclude(refused).reasons[0]


def test_a_staged_version_is_not_taken_for_compared_with_one_that_was_approved_meanwhile(releases: Releases) -> None:
    first = version_of(releases.run("a"))
    second = version_of(releases.run("b", approval=True, against=first))
    approve(releases.serving, second, "ann@office", "while the next run trained")
    third = version_of(releases.run("c", approval=True, against=first))
    with pytest.raises(NotComparedError, match=f"compared with version {first}, and version {second} is in production"):
        approve(releases.serving, third, "ann@office", "good, too")
    # In a pipeline of others, the baseline is what they choose.
    fourth = version_of(releases.run("c", approval=True, against="/others/Trainer/model/12"))
    assert releases.states[fourth] == State.STAGED and approve(releases.serving, fourth, "ann@office", "good").approved
    # The Evaluator has nothing to compare with versions of other classes.
    other = Path(shutil.copytree(releases.serving / str(second), releases.root / "other"))
    (other / CARD_FILE).write_text(json.dumps({"classes": ["Positive", "Negative"]}))
    publish(other, releases.serving, Release(lineage=Lineage(pipeline="toy", run_id="toy")))
    last = version_of(releases.run("b", approval=True, against=second, allow_other_classes=True))
    assert approve(releases.serving, last, "ann@office", "new classes").approved


def test_releases_are_signed_old_ones_go_and_the_key_is_written_nowhere(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("RELEASE_KEY", pem)
    unsigned = version_of(releases.run("a"))
    signed = version_of(releases.run("a", signing_key="env:RELEASE_KEY"))
    assert signed > unsigned, "the version in use was not signed"
    assert verify(releases.serving / str(signed), key.public_key()).intact
    newest = version_of(releases.run("b", signing_key="env:RELEASE_KEY", keep=2))
    assert list(releases.states) == [signed, newest]
    written = [path for path in [*releases.bench.root.rglob("*"), *releases.root.rglob("*")] if path.is_file()]
    assert any(path.name == "metadata.sqlite" for path in written)
    assert not any(pem.splitlines()[1].encode() in path.read_bytes() for path in written)
