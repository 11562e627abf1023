"""What a run asks before it starts."""

import unicodedata
from pathlib import Path

import pytest

from crackgate.config.configuration import Config, ConfigError
from crackgate.config.data import DataOptions
from crackgate.config.release import ReleaseOptions
from crackgate.contracts.card import ReleaseCard
from crackgate.contracts.model_files import CARD_FILE
from pipeline.preconditions import check_released_classes, resolve_data_set
from tests.helpers.pushing import push, write_model

CLASSES = ["Negative", "Positive"]


@pytest.mark.parametrize(
    "classes", [["Negative", "Crack"], ["Negative", "Positive", "Stain"], ["Positive", "Negative"]]
)
def test_other_classes_than_those_in_production_are_refused_unless_allowed(tmp_path: Path, classes: list[str]) -> None:
    (number,) = push(write_model(tmp_path / "model"), tmp_path / "serving")
    check_released_classes(tmp_path / "serving", CLASSES, Config())
    with pytest.raises(ConfigError) as refused:
        check_released_classes(tmp_path / "serving", classes, Config())
    assert f"version {number}, which is in production, has the classes 'Negative', 'Positive'" in str(refused.value)
    assert f"these images have {', '.join(map(repr, classes))}" in str(refused.value)
    assert "release.allow_other_classes=true" in str(refused.value)
    allowed = Config(release=ReleaseOptions(allow_other_classes=True))
    check_released_classes(tmp_path / "serving", classes, allowed)


@pytest.mark.parametrize(("released", "found"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_of_the_classes_in_production_are_compared_in_any_form(
    tmp_path: Path, released: str, found: str
) -> None:
    model = write_model(tmp_path / "model")
    ReleaseCard(classes=["sain", unicodedata.normalize(released, "fissuré")], image_size=64).write(model)
    push(model, tmp_path / "serving")
    check_released_classes(tmp_path / "serving", ["sain", unicodedata.normalize(found, "fissuré")], Config())
    with pytest.raises(ConfigError, match="these images have 'sain', 'fissure'"):
        check_released_classes(tmp_path / "serving", ["sain", "fissure"], Config())


def test_without_a_version_in_production_any_classes_may_come(tmp_path: Path) -> None:
    check_released_classes(tmp_path / "none", ["a", "b"], Config())
    (number,) = push(write_model(tmp_path / "model"), tmp_path / "serving")
    (tmp_path / "serving" / str(number) / "manifest.json").unlink()
    check_released_classes(tmp_path / "serving", ["a", "b"], Config())


def test_a_version_whose_card_cannot_be_read_says_nothing_of_classes(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / CARD_FILE).write_bytes(b"{")
    push(model, tmp_path / "serving")
    check_released_classes(tmp_path / "serving", ["a", "b"], Config())


def test_frames_prompt_one_hint_to_group_them_unless_they_are(tmp_path: Path) -> None:
    rows = ["path,label,group"]
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(30):
            path = tmp_path / "data" / name / f"frame_{number:04}.jpg"
            path.write_bytes(b"picture")
            rows.append(f"{path},{name},{number // 10}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))

    def hints(options: DataOptions) -> int:
        return sum("--group-by" in note for note in resolve_data_set(tmp_path / "data", Config(data=options)).notes)

    assert hints(DataOptions()) == 1
    assert hints(DataOptions(group_by=r"frame_(\d\d)")) == 0
    assert hints(DataOptions(labels=str(tmp_path / "labels.csv"))) == 0
