"""Which class is positive, by name or by configuration, and what is refused before a run."""

from pathlib import Path

import pytest
from rich.console import Console

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.model.positive_classes import names_cracks, resolve_positive_classes
from crackgate.runs.workspace import Workspace
from pipeline.preconditions import find_positive_classes
from pipeline.request import RunRequest
from pipeline.run import run_pipeline


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Positive",
            "positive",
            "Crack",
            "cracks",
            "CRACKED",
            "with_crack",
            "WithCracks",
            "damaged",
            "Damage",
            "defect",
        ),
        *("defective", "hairline crack", "Hairline-Cracks", "1_crack", "concrete crack images", "images of cracks"),
        *("Riss", "Risse", "rissig", "mit Riss", "beschädigt", "fissure", "fissuré", "fissure\u0301", "avec_fissure"),
        *(
            "grieta",
            "grietas",
            "con grieta",
            "agrietado",
            "fissura",
            "rachadura",
            "scheuren",
            "трещина",
            "裂缝",
            "ひび割れ",
        ),
    ],
)
def test_names_of_cracks_are_known(name: str) -> None:
    assert names_cracks(name)
    assert resolve_positive_classes([], ["Apple", name]) == PositiveClasses(names=(name,), chosen_by="names")


@pytest.mark.parametrize(
    "name",
    [
        *("uncracked", "no crack", "no_crack", "NoCrack", "without_crack", "non-crack", "noncrack", "not cracked"),
        *("crack free", "crackless", "0 cracks", "absence of cracks", "sealed crack", "false positive", "undamaged"),
        *("nicht rissig", "ohne Riss", "rissfrei", "Umriss", "unbeschädigt", "sans_fissure", "non fissuré"),
        *("sin_grieta", "sin grietas", "senza crepe", "无裂缝", "sem fissura", "geen scheur"),
        *("Positively not", "crackle", "CD", "spalling", "hairline", "with", "0", "1", "a", "sound", "Negative", ""),
    ],
)
def test_negated_and_unclear_names_are_not_guessed_at(name: str) -> None:
    assert not names_cracks(name)
    assert resolve_positive_classes([], ["Apple", name]) == PositiveClasses()


def test_sdnet2018_is_known_by_its_pairs() -> None:
    assert resolve_positive_classes([], ["CD", "CP", "CW", "UD", "UP", "UW"]).names == ("CD", "CP", "CW")
    assert resolve_positive_classes([], ["cd", "ud"]).names == ("cd",)
    # Uncracked walls do not explain cracked decks.
    assert resolve_positive_classes([], ["CD", "UW"]).names == ()


def test_what_is_configured_wins() -> None:
    positive = resolve_positive_classes(["Spall"], ["Crack", "Positive", "Spall"])
    assert positive == PositiveClasses(names=("Spall",), chosen_by="configuration")


def test_names_are_compared_in_nfc_and_any_case() -> None:
    composed, decomposed = "Fissur\u00e9", "FISSURE\u0301"
    assert resolve_positive_classes([decomposed], ["sain", composed]).names == (composed,)
    assert resolve_positive_classes([composed], ["sain", decomposed]).names == (decomposed,)
    # The very name goes before one that only looks like it.
    assert resolve_positive_classes(["b"], ["B", "a", "b"]).names == ("b",)


def test_they_are_a_set_in_label_order() -> None:
    assert resolve_positive_classes(["wide", "hairline", "wide"], ["hairline", "sound", "wide"]).names == (
        "hairline",
        "wide",
    )
    assert resolve_positive_classes([], ["Crack", "Cracks", "Sound"]).names == ("Crack", "Cracks")


@pytest.mark.parametrize(
    ("configured", "classes", "said"),
    [
        (
            ["a", "b"],
            ["a", "b"],
            r"received 'a', 'b', which are all; allowed are some of 'a', 'b', not all",
        ),
        ([], ["Crack", "cracked"], "which are all; "),
        (["a", "Positive"], ["a", "b", "Positive"], "'positive' is the name of several together: rename that folder"),
        (["CRACK"], ["Crack", "crack", "sound"], "received 'CRACK', which may be 'Crack' or 'crack': write it exactly"),
        (["c", "a", "d"], ["a", "b"], "received 'c', 'd', which is no class; allowed are some of 'a', 'b'"),
    ],
)
def test_sets_that_decide_nothing_or_cannot_be_told_apart_are_refused(
    configured: list[str], classes: list[str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        resolve_positive_classes(configured, classes)


def test_the_earlier_name_is_refused_with_the_new_one() -> None:
    with pytest.raises(ConfigError, match=r"train.positive_class: received 'Crack', but .* set train.positive_classes"):
        load_config(None, ["train.positive_class=Crack"])


def _run(folder: Path, classes: list[str], *assignments: str) -> None:
    for name in classes:
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "1.jpg").touch()
    config = load_config(None, [*assignments])
    run_pipeline(RunRequest(Console(), folder / "data", config, Workspace(folder / "workspace")))


@pytest.mark.parametrize(
    ("classes", "assignment", "said"),
    [
        (
            ["Negative", "Positive"],
            'train.positive_classes=["dent"]',
            "train.positive_classes: received 'dent', which is no class; allowed are some of 'Negative', 'Positive'",
        ),
        (
            ["0", "1"],
            "train.seed=1",
            r"""names '0' and '1' do not say .* --set 'train.positive_classes=\["0"\]' or --set '.*=\["1"\]'$""",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_before_anything_starts(
    classes: list[str], assignment: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        _run(tmp_path, classes, assignment)
    assert not (tmp_path / "workspace").exists()


def test_of_three_classes_none_has_to_be_positive() -> None:
    assert find_positive_classes(Config(), ["moss", "rust", "stain"]) == PositiveClasses()
    assert find_positive_classes(Config(), ["intact", "rissig"]).names == ("rissig",)


def test_it_is_always_said_which_classes_are_positive() -> None:
    classes = ["hairline crack", "moss", "sound"]
    assert resolve_positive_classes([], classes).in_words(classes) == (
        "positive, so not to be missed: 'hairline crack' (by name); not positive: 'moss' and 'sound'; if that is "
        "wrong, set train.positive_classes"
    )
    both = resolve_positive_classes(["moss", "hairline crack"], classes)
    assert "missed: 'hairline crack' and 'moss' (as configured); not positive: 'sound'" in both.in_words(classes)
    assert "no class of 'a', 'b' and 'c' counts as positive" in PositiveClasses().in_words(["a", "b", "c"])
