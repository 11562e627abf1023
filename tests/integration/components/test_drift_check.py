"""DriftCheck on statistics that TFDV made: samples of one distribution, and of another."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from PIL import Image
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from components.curated_schema.component import CuratedSchema
from components.drift_check.component import DriftCheck
from components.drift_check.divergence import divergence_by_chance, divergences, mean
from components.image_example_gen.component import ImageExampleGen
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.config.drift import DriftOptions
from crackgate.config.schema import SchemaOptions
from crackgate.contracts.errors import DataRejectedError
from crackgate.contracts.stored_example import BRIGHTNESS, CONTRAST, ENTROPY, HEIGHT, SHARPNESS, WIDTH

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench
    from tfx.dsl.components.base.base_component import BaseComponent

MEASURED = {BRIGHTNESS, CONTRAST, ENTROPY, HEIGHT, SHARPNESS, WIDTH}


def statistics(values: np.ndarray) -> DatasetFeatureStatisticsList:
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame({BRIGHTNESS: values}), n_jobs=1)


def brightness_of(count: int, average: float = 120, seed: int = 0) -> DatasetFeatureStatisticsList:
    return statistics(np.random.default_rng(seed).normal(average, 20, count).astype(np.float32))


def test_the_divergence_is_nothing_to_itself_and_all_to_what_has_nothing_in_common() -> None:
    sample = brightness_of(300)
    assert divergences(sample, sample, (BRIGHTNESS,)) == {BRIGHTNESS: 0}
    other = divergences(sample, brightness_of(300, average=900), (BRIGHTNESS,))
    assert other[BRIGHTNESS] == pytest.approx(1, abs=1e-6)


def test_features_that_one_side_does_not_have_are_left_out() -> None:
    assert divergences(brightness_of(50), brightness_of(50), (CONTRAST,)) == {}


def test_the_mean_is_that_of_the_sample() -> None:
    assert mean(statistics(np.float32([1, 2, 6])), BRIGHTNESS) == pytest.approx(3)
    with pytest.raises(KeyError):
        mean(brightness_of(10), CONTRAST)


@pytest.mark.parametrize("count", [15, 60, 400])
def test_samples_of_one_distribution_stay_within_chance_and_a_real_shift_does_not(count: int) -> None:
    reference = brightness_of(500)
    chance = divergence_by_chance(brightness_of(count), reference)
    alike = [
        divergences(brightness_of(count, seed=seed), reference, (BRIGHTNESS,))[BRIGHTNESS] for seed in range(1, 11)
    ]
    # Less than half of what the configuration allows by default.
    assert max(alike) < chance + 0.1
    assert divergences(brightness_of(count, average=220), reference, (BRIGHTNESS,))[BRIGHTNESS] > chance + 0.2


def test_a_single_image_unlike_all_others_is_no_drift() -> None:
    sizes = statistics(np.full(200, 227, np.float32))
    with_one_larger = statistics(np.float32([227] * 1000 + [400]))
    assert divergences(sizes, with_one_larger, (BRIGHTNESS,))[BRIGHTNESS] < 0.05
    levels = np.random.default_rng(0).normal(120, 20, 1000).astype(np.float32)
    with_one_brighter = statistics(np.append(levels, np.float32(5000)))
    assert divergences(brightness_of(300), with_one_brighter, (BRIGHTNESS,))[BRIGHTNESS] < 0.2


def test_a_single_image_unlike_all_others_hides_no_drift() -> None:
    generator = np.random.default_rng(0)
    here, there = (np.append(generator.normal(average, 20, 500), 3000).astype(np.float32) for average in (150, 120))
    assert divergences(statistics(here), statistics(there), (BRIGHTNESS,))[BRIGHTNESS] > 0.3


def _components(photographs: "Path", max_skew: float, group_by: str = "") -> "list[BaseComponent]":
    from tfx import v1 as tfx

    classes = ["Negative", "Positive"]
    example_gen = ImageExampleGen(
        photographs,
        classes,
        DataOptions(
            split=SplitRatios(train=34, eval=33, test=33), max_rejected_share=0.0, max_imbalance=1.0, group_by=group_by
        ),
    )
    schema = CuratedSchema(classes, SchemaOptions(min_images_per_split=1))
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"], schema=schema.outputs["schema"]
    )
    check = DriftCheck(
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        # There is no other run in these tests: a set is its own past.
        released_statistics=statistics_gen.outputs["statistics"],
        options=DriftOptions(max_drift=0.0, max_skew=max_skew),
    )
    return [example_gen, schema, statistics_gen, check]


def test_alike_splits_pass_and_their_divergences_are_reported(
    photographs: "Path", new_bench: "Callable[..., Bench]"
) -> None:
    bench = new_bench()
    bench.run(*_components(photographs, max_skew=1.0))
    findings = bench.json_output("DriftCheck", "findings")
    assert set(findings["drift"]) == {"train", "eval", "test"} and set(findings["skew"]) == {"eval", "test"}
    assert all(value == 0 for split in findings["drift"].values() for value in split.values())
    assert set(findings["skew"]["test"]) == MEASURED
    assert all(0 <= value <= 1 for split in findings["skew"].values() for value in split.values())


def test_a_split_unlike_train_is_refused_and_its_images_named(
    photographs: "Path", tmp_path: "Path", new_bench: "Callable[..., Bench]"
) -> None:
    # One site to a split; at one of them, which is not train's, the camera was another one.
    data = tmp_path / "data"
    for number, path in enumerate(sorted(photographs.rglob("*.jpg"))):
        site = ("west", "north", "south")[number % 3]
        target = data / path.parent.name / site
        target.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            picture.resize((128, 128) if site == "north" else (64, 64)).save(target / path.name)
    example_gen, *others = _components(data, max_skew=0.0, group_by="(west|north|south)")
    with pytest.raises(DataRejectedError) as refused:
        new_bench().run(example_gen, *others)
    sizes = [reason for reason in refused.value.reasons if "image/height" in reason]
    assert len(sizes) == 1 and "differs from split 'train'" in sizes[0] and "drift.max_skew" in sizes[0]
    named = re.findall(r"/(\w+)/\d+\.jpg' \(128\)", sizes[0])
    assert named and set(named) == {"north"} and "mean" in sizes[0]
