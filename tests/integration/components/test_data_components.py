"""CuratedSchema, StatisticsGen, ExampleValidator and DataGate, run by TFX: good data passes, bad data stops the run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow_data_validation as tfdv
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.curated_schema.component import CuratedSchema
from components.curated_schema.executor import build_schema
from components.data_gate.component import DataGate
from components.data_page.component import DataPage
from components.image_example_gen.component import ImageExampleGen
from crackgate.config.data import DataOptions
from crackgate.config.gate import GateOptions
from crackgate.config.schema import Bounds, SchemaOptions
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError
from pipeline.definition import expected_statistics

if TYPE_CHECKING:
    from conftest import Bench

CLASSES = ["Negative", "Positive"]
# What the 40 photographs of 64 pixels meet.
EXPECTED: dict[str, Any] = {
    "height": Bounds(min=64, max=64),
    "width": Bounds(min=64, max=64),
    "brightness": Bounds(min=1, max=254),
    "contrast": Bounds(min=0, max=128),
    "sharpness": Bounds(min=1, max=10_000),
    "entropy": Bounds(min=1, max=8),
    "bytes": Bounds(min=500, max=20_000),
    "min_images_per_split": 2,
}


def _components(folder: Path, schema_changes: dict[str, Any], min_recall: float = 0) -> list[Any]:
    """From the images to the gate, wired as in the pipeline."""
    example_gen = ImageExampleGen(folder, CLASSES, DataOptions(max_rejected_share=0.05, max_imbalance=1.0))
    classes = schema_changes.get("classes", CLASSES)
    options = {name: value for name, value in schema_changes.items() if name != "classes"}
    schema = CuratedSchema(classes, SchemaOptions(**{**EXPECTED, **options}))
    statistics_gen = expected_statistics(example_gen, schema)
    validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema.outputs["schema"]
    )
    page = DataPage(
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        account=example_gen.outputs["account"],
        conflicts=example_gen.outputs["conflicts"],
    )
    gate = DataGate(
        examples=example_gen.outputs["examples"],
        account=example_gen.outputs["account"],
        anomalies=validator.outputs["anomalies"],
        scale=page.outputs["scale"],
        classes=CLASSES,
        positive_classes=["Positive"],
        options=GateOptions(min_recall=min_recall),
    )
    return [example_gen, schema, statistics_gen, validator, page, gate]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """The photographs, and some whose names are hard on everything that takes names for text."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(photographs, folder, dirs_exist_ok=True)
    for number, name in enumerate((b"caf\xe9.png", b"new\nline.png", "Riß 裂缝.png".encode()), start=1):
        with Image.open(photographs / "Positive" / f"{number:05d}.jpg") as photograph:
            photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "Positive" / os.fsdecode(name))
    return folder


@pytest.fixture(scope="module")
def passed(data: Path, new_bench: "Callable[..., Bench]") -> "Bench":
    """A bench where good data went all the way; later runs on it take the examples from the cache."""
    bench = new_bench()
    bench.run(*_components(data, {}))
    return bench


def test_good_data_passes_the_gate_without_findings(passed: "Bench") -> None:
    assert passed.states("DataGate")[0] == "COMPLETE"
    account = passed.json_output("ImageExampleGen", "account")
    assert (account["found"], account["ingested"]) == (43, 43)


def test_a_gate_that_no_model_can_pass_stops_the_run(passed: "Bench", data: Path) -> None:
    positives = passed.json_output("ImageExampleGen", "account")["splits"]["test"]["Positive"]
    with pytest.raises(DataRejectedError) as caught:
        passed.run(*_components(data, {}, min_recall=0.97))
    assert len(caught.value.reasons) == 2 and f"{positives} test images of Positive: even" in caught.value.reasons[0]
    # As many as are there are just enough.
    passed.run(*_components(data, {}, min_recall=0.025 ** (1 / positives)))
    assert passed.states("DataGate")[-1] == "COMPLETE"


def test_test_images_that_the_model_would_refuse_stop_the_run(
    photographs: Path, tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    for number, file in enumerate(sorted(photographs.rglob("*.jpg"))):
        split = ("train", "train", "eval", "test")[number % 4]
        target = tmp_path / split / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as photograph:
            photograph.resize((300, 200) if split == "test" else (64, 64)).save(target)
    bench = new_bench()
    wide = Bounds(min=32, max=1000)
    with pytest.raises(DataRejectedError) as caught:
        bench.run(*_components(tmp_path, {"width": wide, "height": wide, "sharpness": Bounds(min=0, max=1e5)}))
    (reason,) = caught.value.reasons
    assert "split 'test': 10 of 10 images are out of the scale of the training images" in reason
    assert "sides of 64 pixels" in reason and "sides of 43 to 96" in reason and "(300x200)" in reason
    scale = bench.json_output("DataPage", "scale")
    assert scale["trained"]["sides"] == {"smallest": 64, "median": 64, "largest": 64}


def test_the_ranges_of_the_default_configuration_pass_too(passed: "Bench", data: Path) -> None:
    passed.run(*_components(data, {**dict(SchemaOptions()), "min_images_per_split": 2}))
    assert passed.states("DataGate")[-1] == "COMPLETE"


def test_the_gate_hands_on_an_empty_list(passed: "Bench", data: Path) -> None:
    passed.run(*_components(data, {}))
    assert passed.states("DataGate")[-1] == "CACHED"
    assert passed.json_output("DataGate", "findings") == []


def test_the_schema_that_tfx_reads_is_the_one_that_was_asked_for(passed: "Bench") -> None:
    file = Path(passed.output("CuratedSchema", "schema").uri) / "schema.pbtxt"
    assert tfdv.load_schema_text(str(file)) == build_schema(CLASSES, SchemaOptions(**EXPECTED))


def test_the_schema_asks_for_every_feature_that_statistics_are_for_exactly_once() -> None:
    schema = build_schema(["a", "b", "c"], SchemaOptions(**{**EXPECTED, "min_images_per_split": 7}))
    by_name = {feature.name: feature for feature in schema.feature}
    assert len(by_name) == len(schema.feature) == 10
    assert all(feature.presence.min_fraction == 1 for feature in schema.feature)
    assert all([dim.size for dim in feature.shape.dim] == [1] for feature in schema.feature)
    label = by_name[stored_example.CLASS_LABEL]
    assert label.type == schema_pb2.INT
    assert (label.int_domain.min, label.int_domain.max) == (0, 2)
    assert list(by_name[stored_example.CLASS_TEXT].string_domain.value) == ["a", "b", "c"]
    assert schema.dataset_constraints.min_examples_count == 7


def test_the_statistics_are_of_what_the_schema_expects_and_nothing_else(passed: "Bench") -> None:
    artifact = passed.output("StatisticsGen", "statistics")
    expected = {feature.name for feature in build_schema(CLASSES, SchemaOptions(**EXPECTED)).feature}
    assert not expected & {
        stored_example.ENCODED,
        stored_example.FILENAME,
        stored_example.GROUP,
        stored_example.DESCRIPTOR,
    }
    assert set(artifact_utils.decode_split_names(artifact.split_names)) == set(stored_example.SPLITS)
    for split in stored_example.SPLITS:
        content = (Path(artifact_utils.get_split_uri([artifact], split)) / "FeatureStats.pb").read_bytes()
        (statistics,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
        assert {feature.path.step[0] for feature in statistics.features} == expected
        assert statistics.num_examples == len(passed.examples()[split]) > 0
        common = [getattr(feature, feature.WhichOneof("stats")).common_stats for feature in statistics.features]
        assert all(each.num_non_missing == statistics.num_examples for each in common)
        assert len(content) < 100_000


def _expected_finding(bench: "Bench", split: str, feature: str, bounds: Bounds) -> str:
    """The sentence, by the images themselves: those outside and no others, the farthest five by name."""
    images = []
    for example in bench.examples()[split]:
        found = example.features.feature
        (value,) = found[feature].float_list.value or found[feature].int64_list.value
        path = found[stored_example.FILENAME].bytes_list.value[0].decode("utf-8", "backslashreplace")
        images.append((-max(bounds.min - value, value - bounds.max), path, value))
    outside = sorted(image for image in images if image[0] < 0)
    named = ", ".join(f"{path!r} ({value:.4g})" for _, path, value in outside[:5])
    option = f"schema.{feature.split('/')[-1]}"
    return (
        f"split {split!r}, {feature}: {len(outside)} of {len(images)} images lie outside {bounds.min:g} to "
        f"{bounds.max:g} ({option}); {'the farthest are' if len(outside) > 1 else 'it is'} {named}; repair or remove "
        f"them, or widen {option}"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {
            stored_example.BRIGHTNESS: Bounds(min=1, max=20),
            stored_example.CONTRAST: Bounds(min=0, max=1),
            stored_example.HEIGHT: Bounds(min=65, max=100),
            stored_example.SHARPNESS: Bounds(min=5000, max=10_000),
            stored_example.ENTROPY: Bounds(min=7.9, max=8),
            stored_example.BYTES: Bounds(min=20_000, max=30_000),
        },
        {
            stored_example.BRIGHTNESS: Bounds(min=250, max=254),
            stored_example.WIDTH: Bounds(min=1, max=63),
            stored_example.SHARPNESS: Bounds(min=0, max=1),
            stored_example.ENTROPY: Bounds(min=0, max=1),
            stored_example.BYTES: Bounds(min=1, max=500),
        },
    ],
    ids=["too bright, too low, blurred, too plain, too few bytes", "too dark, too wide, sharp, varied, too many bytes"],
)
def test_data_outside_the_schema_stops_the_run_naming_split_and_feature(
    passed: "Bench", data: Path, changes: dict[str, Bounds]
) -> None:
    with pytest.raises(DataRejectedError) as caught:
        passed.run(*_components(data, {feature.split("/")[-1]: bounds for feature, bounds in changes.items()}))
    assert passed.states("DataGate")[-1] == "FAILED"
    # Nothing else is wrong with the data, and each split has its own finding.
    assert sorted(caught.value.reasons) == sorted(
        _expected_finding(passed, split, feature, bounds)
        for split in stored_example.SPLITS
        for feature, bounds in changes.items()
    )


def test_a_class_that_the_schema_does_not_know_stops_the_run(passed: "Bench", data: Path) -> None:
    with pytest.raises(DataRejectedError) as caught:
        passed.run(*_components(data, {"classes": ["Negative", "Crack"]}))
    assert passed.states("DataGate")[-1] == "FAILED"
    for split, reason in zip(sorted(stored_example.SPLITS), sorted(caught.value.reasons), strict=True):
        assert reason.startswith(f"split {split!r}, {stored_example.CLASS_TEXT}: ")
        assert "missing from the schema: Positive" in reason


def test_too_few_images_stop_the_run_naming_the_split_and_the_count(passed: "Bench", data: Path) -> None:
    with pytest.raises(DataRejectedError) as caught:
        passed.run(*_components(data, {"min_images_per_split": 20}))
    images = passed.json_output("ImageExampleGen", "account")["splits"]
    evaluation, test = (sum(images[split].values()) for split in ("eval", "test"))
    assert len(caught.value.reasons) == 2, "train has enough"
    for split, count, reason in zip(("eval", "test"), (evaluation, test), caught.value.reasons, strict=True):
        assert reason.startswith(f"split {split!r}: ")
        assert f"has {count} examples, which is fewer than expected" in reason and "20 or more" in reason


def test_a_single_image_outside_its_range_stops_the_run(passed: "Bench", data: Path) -> None:
    levels = {
        split: sorted(example.features.feature[stored_example.BRIGHTNESS].float_list.value[0] for example in examples)
        for split, examples in passed.examples().items()
    }
    darkest, next_to_darkest = sorted(level for of_split in levels.values() for level in of_split)[:2]
    bounds = Bounds(min=(darkest + next_to_darkest) / 2, max=254)
    with pytest.raises(DataRejectedError) as caught:
        passed.run(*_components(data, {"brightness": bounds}))
    (reason,) = caught.value.reasons
    (split,) = (split for split, of_split in levels.items() if darkest in of_split)
    assert reason.startswith(f"split {split!r}, {stored_example.BRIGHTNESS}: ")
    assert f": 1 of {len(levels[split])} images lie outside " in reason
    assert f"; it is '{_path_of(passed, split, darkest)}' ({darkest:.4g}); repair" in reason


def _path_of(bench: "Bench", split: str, brightness: float) -> str:
    (path,) = (
        example.features.feature[stored_example.FILENAME].bytes_list.value[0].decode("utf-8", "backslashreplace")
        for example in bench.examples()[split]
        if example.features.feature[stored_example.BRIGHTNESS].float_list.value[0] == brightness
    )
    return path
