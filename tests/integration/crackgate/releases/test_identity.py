"""The identity of real exports: what differs between two of them, and what makes another model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from crackgate.contracts.model_files import CARD_FILE, MODEL_VERSION_FILE
from crackgate.releases import find_withdrawn_model, production_version, publish, read_manifest, roll_back
from crackgate.releases.identity import IdentityError, identify
from crackgate.releases.manifest import Lineage, Manifest, Release, measure_model
from tests.helpers.toy_release import export_toy


@pytest.fixture(scope="module")
def again(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, exported later, when names of functions and layers go on from higher numbers."""
    for _ in range(3):
        keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Rescaling(2.0)])
        tf.function(lambda x: x + 1)(tf.constant(1.0))
    folder = tmp_path_factory.mktemp("again") / "model"
    export_toy(folder)
    assert measure_model(folder) != measure_model(toy_model)
    return folder


def test_two_exports_of_a_model_are_one_model(toy_model: Path, again: Path) -> None:
    assert identify(toy_model) == identify(again)


def test_neither_its_number_nor_its_requests_nor_the_cards_form_make_another_model(again: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(again, changed)
    (changed / MODEL_VERSION_FILE).write_text("1795374861\n")
    (changed / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"requests")
    card = json.loads((changed / CARD_FILE).read_text())
    (changed / CARD_FILE).write_text(json.dumps(dict(reversed(card.items())) | {"a later program's": None}))
    assert identify(changed) == identify(again)


@pytest.mark.parametrize(
    "change",
    [{"bias": 8.999}, {"threshold": 0.501}, {"max_pixels": 10**6 + 1}],
    ids=["a weight", "the decision", "the graph"],
)
def test_a_change_of_weights_decision_or_graph_makes_another_model(
    change: dict[str, Any], toy_model: Path, tmp_path: Path
) -> None:
    export_toy(tmp_path / "other", **change)
    assert identify(tmp_path / "other") != identify(toy_model)


def test_a_change_of_the_card_alone_makes_another_model(toy_model: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(toy_model, changed)
    card = json.loads((changed / CARD_FILE).read_text())
    (changed / CARD_FILE).write_text(json.dumps(card | {"classes": ["Intact", "Positive"]}))
    assert identify(changed) != identify(toy_model)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [Path.unlink, _cut], ids=["missing", "cut off"])
@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", str(CARD_FILE)])
def test_damaged_files_have_no_identity(
    name: str, damage: Callable[[Path], None], toy_model: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(toy_model, damaged)
    damage(damaged / name)
    if name == str(CARD_FILE) and damage is Path.unlink:
        assert identify(damaged) != identify(toy_model), "models from elsewhere have no card"
        return
    with pytest.raises(IdentityError, match="cannot tell the identity of the model in"):
        identify(damaged)


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "of a version without one"])
def test_a_withdrawn_model_is_known_by_its_identity(
    recorded: bool, toy_model: Path, again: Path, tmp_path: Path
) -> None:
    serving, identity = tmp_path / "serving", identify(toy_model)
    export_toy(tmp_path / "first", bias=8)
    release = Release(lineage=Lineage(pipeline="toy", run_id="toy"))
    publish(tmp_path / "first", serving, release)
    second = publish(toy_model, serving, release.model_copy(update={"identity": identity if recorded else None}))
    assert find_withdrawn_model(serving, measure_model(again), identity) is None
    roll_back(serving, None, "me", "bad")
    assert find_withdrawn_model(serving, measure_model(again), identity).number == int(second.name)
    assert find_withdrawn_model(serving, measure_model(again)) is None, "the files are others"
    # It stays withdrawn when another one is in production, and when its files are gone.
    publish(tmp_path / "first", serving, release)
    shutil.rmtree(serving / "withdrawn" / second.name)
    found = find_withdrawn_model(serving, measure_model(again), identity)
    assert (found is not None) == recorded, "only a record outlives the files"
    assert find_withdrawn_model(serving, measure_model(toy_model)).number == int(second.name)


def test_a_manifest_of_version_0_1_0_is_intact_without_an_identity(toy_model: Path, tmp_path: Path) -> None:
    folder = publish(toy_model, tmp_path / "serving", Release(lineage=Lineage(pipeline="toy", run_id="toy")))
    manifest = read_manifest(production_version(folder.parent))
    stored = manifest.model_dump(mode="json", exclude={"identity"})
    old = Manifest.model_validate(stored)
    assert old.identity is None and old.digest_content() == manifest.own_digest
    named = manifest.model_copy(update={"identity": "1:0"})
    assert named.digest_content() != manifest.own_digest, "an identity cannot be added unseen"
