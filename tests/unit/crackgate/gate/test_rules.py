"""From the configuration to the lines of the gate."""

from collections.abc import Sequence

import pytest

from crackgate.config.configuration import ConfigError
from crackgate.config.gate import GateOptions, RequireOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.gate.rules import Rule, gate_rules

CLASSES = ["sound", "cracked"]


def rules_of(positive: Sequence[str] = ("cracked",), **gate: object) -> list[Rule]:
    return gate_rules(CLASSES, positive, GateOptions.model_validate(gate))


def added(*require: dict[str, object], **gate: object) -> list[Rule]:
    before = rules_of(**gate)
    return [rule for rule in rules_of(require=require, **gate) if rule not in before]


def test_the_gate_without_further_ado() -> None:
    assert [(rule.metric, rule.label, rule.change, rule.judged_by) for rule in rules_of()] == [
        ("seen_in_training", None, "", "estimate"),
        ("unusable_scores", None, "", "estimate"),
        ("accuracy", None, "", "estimate"),
        ("auc", "sound", "", "estimate"),
        ("auc", "cracked", "", "estimate"),
        ("precision", "sound", "", "estimate"),
        ("precision", "cracked", "", "estimate"),
        ("recall", "sound", "", "estimate"),
        ("recall", "cracked", "", "lower bound"),
        ("accuracy", None, "absolute", "estimate"),
        ("recall", "cracked", "absolute", "estimate"),
    ]
    assert {rule.slice for rule in rules_of()} == {ALL_IMAGES}
    by_estimate = rules_of(positive_recall_by="estimate")
    assert all(rule.judged_by == "estimate" for rule in by_estimate)


def test_without_a_positive_class_no_recall_may_fall() -> None:
    drops = [rule for rule in rules_of(positive=()) if rule.change and rule.metric == "recall"]
    assert [rule.label for rule in drops] == CLASSES
    assert all(rule.judged_by == "estimate" for rule in rules_of(positive=()))


def test_each_of_several_positive_classes_is_protected_and_all_of_them_together() -> None:
    rules = gate_rules(["hairline", "sound", "wide"], ["hairline", "wide"], GateOptions(min_recall=0.9))
    recalls = {(rule.metric, rule.label): rule for rule in rules if "recall" in rule.metric and not rule.change}
    assert {key: (rule.judged_by, rule.bound) for key, rule in recalls.items()} == {
        # A hairline crack that is called wide has a wrong label, but it is found.
        ("recall", "hairline"): ("estimate", 0.9),
        ("recall", "sound"): ("estimate", 0.9),
        ("recall", "wide"): ("estimate", 0.9),
        ("recall", "positive"): ("lower bound", 0.9),
        ("positive_recall", "hairline"): ("lower bound", 0.9),
        ("positive_recall", "wide"): ("lower bound", 0.9),
    }
    protected = [("recall", "positive"), ("positive_recall", "hairline"), ("positive_recall", "wide")]
    assert [(rule.metric, rule.label) for rule in rules if rule.change == "absolute"][1:] == protected
    for metric in ("auc", "precision"):
        assert [rule.label for rule in rules if rule.metric == metric] == ["hairline", "sound", "wide", "positive"]
    positions = {rule.label: rule.position(["hairline", "sound", "wide"]) for rule in rules}
    assert positions == {None: None, "hairline": 0, "sound": 1, "wide": 2, "positive": 3}


def test_several_positive_classes_can_be_required_as_one() -> None:
    require = [
        RequireOptions(metric="recall", label="positive", slice="dark", min=0.8),
        RequireOptions(metric="positive_recall", label="wide", slice="dark", min=0.8, max_drop=0.5),
    ]
    rules = gate_rules(["hairline", "sound", "wide"], ["hairline", "wide"], GateOptions(require=tuple(require)))
    dark = [rule for rule in rules if rule.slice == "dark"]
    assert [(rule.label, rule.judged_by) for rule in dark if not rule.change] == [
        ("positive", "lower bound"),
        ("wide", "lower bound"),
    ]


def test_a_part_of_the_data_is_a_slice() -> None:
    assert {rule.slice for rule in added({"metric": "accuracy", "slice": "part D", "min": 0.9})} == {"part D"}


def test_a_slice_is_bounded_and_may_not_fall_either() -> None:
    bounded, kept = added({"metric": "recall", "label": "cracked", "slice": "dark", "min": 0.97}, min_images=25)
    assert bounded == Rule("recall", "cracked", "dark", 0.97, "at least", judged_by="lower bound", min_images=25)
    assert kept == Rule("recall", "cracked", "dark", -0.02, "at least", change="absolute", min_images=25)
    (of_class,) = [
        rule for rule in added({"metric": "accuracy", "slice": "class cracked", "min": 0.9}) if not rule.change
    ]
    assert (of_class.judged_by, of_class.measured) == ("estimate", "accuracy")


def test_what_is_better_when_less_may_not_rise() -> None:
    highest, kept = added({"metric": "log_loss", "max": 0.3})
    assert (highest.bound, highest.direction, highest.min_images) == (0.3, "at most", 0)
    assert (kept.bound, kept.direction, kept.change) == (0.02, "at most", "absolute")
    (share,) = added({"metric": "brier", "max_relative_drop": 0.1})
    assert (share.bound, share.direction, share.change, share.measured) == (0.1, "at most", "relative", "brier_change")
    (fall,) = added({"metric": "f1", "label": "cracked", "max_relative_drop": 0.1})
    assert (fall.bound, fall.direction) == (-0.1, "at least")


def test_names_are_unique_and_doubles_are_left_out() -> None:
    twice = {"metric": "f1", "label": "cracked", "min": 0.5}
    rules = rules_of(require=(twice, twice, {**twice, "min": 0.6}, {**twice, "slice": "dark"}))
    assert len({rule.name for rule in rules}) == len(rules) == len(rules_of()) + 5


@pytest.mark.parametrize(
    ("require", "said"),
    [
        ({"metric": "recall", "label": "crack"}, "label: received 'crack', allowed for recall are 'sound', 'cracked'$"),
        # With one positive class, it says what recall says.
        ({"metric": "positive_recall", "label": "cracked"}, "allowed for positive_recall are none: recall says"),
        ({"metric": "recall", "label": "positive"}, "gate.require.0.label: received 'positive', allowed for recall"),
        ({"metric": "accuracy", "slice": "drak"}, "gate.require.0.slice: received 'drak', allowed are 'all images'"),
    ],
)
def test_a_class_or_slice_that_does_not_exist_is_named(require: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rules_of(require=({**require, "min": 1},))


@pytest.mark.parametrize(
    ("require", "said"),
    [
        ({"metric": "recal", "label": "a", "min": 1}, "allowed are accuracy, balanced_accuracy"),
        ({"metric": "recall", "min": 1}, "takes a label"),
        ({"metric": "accuracy", "label": "a", "min": 1}, "takes no label"),
        ({"metric": "accuracy"}, "nothing is required: set min, max, max_drop or max_relative_drop"),
        ({"metric": "brier", "max": 1, "judged_by": "bound"}, "recall, positive_recall have one, brier has not"),
    ],
)
def test_a_requirement_that_decides_nothing_is_refused(require: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RequireOptions.model_validate(require)


def test_every_metric_can_be_required() -> None:
    for metric in metric_names.OVERALL + metric_names.PER_CLASS:
        label = "cracked" if metric in metric_names.PER_CLASS else ""
        (rule,) = [rule for rule in added({"metric": metric, "label": label, "min": 0.123}) if not rule.change]
        assert (rule.metric, rule.label, rule.bound) == (metric, label or None, 0.123)
