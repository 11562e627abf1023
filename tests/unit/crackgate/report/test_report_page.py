"""report.html: it says what the summary says, whichever way the run ended, and hostile names stay text."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from crackgate.contracts.doubtful_label import SHOWN, DoubtfulLabel, DoubtfulLabels
from crackgate.contracts.evaluation import MetricValue, NotableImage, NotableImages, ThresholdPoint
from crackgate.contracts.verdict import Verdict
from crackgate.gate.metrics import ScoredImages, draw_curve
from crackgate.report import charts
from crackgate.report.model_card import render_model_card
from crackgate.report.page import render_page
from tests.helpers.filled_summary import POSITIVE, fill_summary
from tests.helpers.made_report import (
    HOSTILE,
    LINKS,
    PICTURES,
    LinedPage,
    empty_summary,
    make_notable_images,
    make_report,
)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("filled", [True, False])
def test_the_page_begins_with_the_verdict_however_the_run_ended(verdict: Verdict, filled: bool) -> None:
    summary = fill_summary(verdict) if filled else empty_summary(verdict)
    report = make_report(summary)
    page = LinedPage(render_page(report, {}, LINKS))
    lines = page.text[page.text.index("Skip to the content") :].splitlines()
    assert lines[1] == report.headline
    assert lines[2] == report.explanation[0]
    assert ("The run ended before a model could be judged." in page.text) == (not filled)
    assert ("none: the run ended before one was trained" in page.text) == (not filled and not summary.judges_only)


@pytest.fixture(scope="module")
def drawn_page() -> str:
    report = make_report(fill_summary(), make_notable_images(), drawn=True)
    return render_page(report, {"Positive/a.jpg": PICTURES}, LINKS)


def test_the_page_holds_every_number(drawn_page: str) -> None:
    page = LinedPage(drawn_page)
    for text in (
        "recall of Positive\npassed\n0.9000\n0.8000 to 0.9600\n≥ 0.7500\nestimate",
        "change of accuracy\npassed\n+0.0125\n\N{EN DASH}\n≥ -0.0100\nestimate\n0.8500\n60",
        "recall of Positive, dark\nwarned",
        "seen in training\npassed\n0\n\N{EN DASH}\n≤ 0",
        "Positive\n3\n10.0%\n27\n90.0%",
        "dark\n4\n\N{EN DASH}\n0.5000\nEvery metric: all images",
        "log loss\n\N{EN DASH}",
        "0.4000\nchosen\n0.8438\n0.9000",
        "False negatives: Positive taken for Negative",
        "Negative 0.8765\nis Positive, scored 0.1235\nPositive/a.jpg",
        "ImageExampleGen\n1.2\n3,072 MiB",
        "train.target_recall = 0.995, is not followed: it asks for 2 more positive images",
        "Positive/<b>sound.jpg\nPositive\n0.0012\nNegative/cracked.jpg\nNegative\n0.9971",
        "gate.min_accuracy",
        "c0ffee",
        "ab" * 32,
    ):
        assert text in page.text, text
    assert [image["alt"] for image in page.of("img")][4:6] == [
        "Positive/a.jpg, class Positive",
        "The same with the heat map of Positive",
    ]
    assert {PICTURES.image, PICTURES.heat_map} <= {image["src"] for image in page.of("img")}


def test_doubtful_labels_are_shown_with_their_pictures_and_nobody_is_accused() -> None:
    doubt = DoubtfulLabel(path=HOSTILE, split="train", label=POSITIVE, likely="Negative", score=0.987)
    summary = fill_summary()
    assert "Labels to check" not in LinedPage(render_page(make_report(summary), {}, {})).text
    summary.doubtful_labels = DoubtfulLabels(judged=300, found=[doubt, *[doubt] * SHOWN])
    report = make_report(summary).model_copy(update={"label_list": "It lists all images."})
    page = LinedPage(render_page(report, {HOSTILE: PICTURES}, {"label_list": "labels_to_check.csv"}))
    assert "25 of 300 images look like another class" in page.text
    assert "Warning: 25 of 300 labels may be wrong" in page.text and "It lists all images." in page.text
    assert page.text.count("looks like Negative (score 0.99) · train") == SHOWN
    assert sum(image["src"] == PICTURES.image for image in page.of("img")) == SHOWN
    assert [image["loading"] for image in page.of("img") if image["src"] == PICTURES.icon] == ["lazy"]
    assert "labels_to_check.csv" in {link.get("href") for link in page.of("a")}
    assert "List of images" in page.text and page.text.count(HOSTILE.split("\n")[0]) > SHOWN
    assert len(page.of("script")) == 1, "the page's own"


def test_one_of_anything_is_no_plural() -> None:
    summary = fill_summary()
    summary.images.found = summary.images.ingested = summary.images.groups = summary.images.copies = 1
    assert summary.threshold is not None and summary.evaluation is not None
    summary.threshold.misclassified = summary.evaluation.unfamiliar = 1
    summary.evaluation.slices = [part.model_copy(update={"images": 1}) for part in summary.evaluation.slices]
    summary.images.splits["test"] = dict.fromkeys(summary.classes, 1)
    doubt = DoubtfulLabel(path="a", split="train", label=POSITIVE, likely="Negative", score=0.9)
    summary.doubtful_labels = DoubtfulLabels(judged=1, found=[doubt])
    report = make_report(summary, make_notable_images().model_copy(update={"scored": 1}))
    for text in (LinedPage(render_page(report, {}, {})).text, render_model_card(report)):
        assert "1 test image " in text
        assert not re.findall(r"(?<![\d,.])1 (?:\w+ )?(?:images|files|groups|pairs|look)\b", text)


def test_without_errors_the_least_certain_images_are_shown_and_called_so() -> None:
    right = NotableImage(path="a.jpg", actual=POSITIVE, label=POSITIVE, scores={"Negative": 0.4, "Positive": 0.6})
    images = NotableImages(
        scored=60, misclassified=0, shown="least certain", by_class={"Negative": [], "Positive": [right]}
    )
    text = LinedPage(render_page(make_report(fill_summary(), images), {}, {})).text
    assert "The model classified all 60 test images correctly." in text
    assert "Positive, classified correctly but barely" in text
    assert "no preview" in text and "False" not in text.split("all 60")[1]


def test_a_changed_setting_stands_beside_its_default() -> None:
    summary = fill_summary()
    summary.config["train"]["image_size"] = 64
    text = LinedPage(render_page(make_report(summary), {}, {})).text
    assert "1 not at the default" in text and "train.image_size\n64\n160" in text


def test_many_classes_without_a_positive_one_have_no_curves_and_it_is_said() -> None:
    names = [f"Class {number}" for number in range(7)]
    summary = fill_summary(classes=names)
    assert summary.evaluation is not None
    evaluation = summary.evaluation
    evaluation.positive_classes, evaluation.threshold = (), None
    evaluation.curve, evaluation.reliability = [], []
    evaluation.confusion = {actual: dict.fromkeys([*names, ""], 1) for actual in names}
    page = LinedPage(render_page(make_report(summary), {}, {}))
    assert "no class counts as positive, and" in page.text
    assert "Warning: no class of 'Class 0', 'Class 1'" in page.text, "it is told at the top"
    assert page.text.count("12.5%") == 7 * 8 and "no class\n" in page.text


def test_the_data_say_which_classes_are_positive() -> None:
    text = LinedPage(render_page(make_report(fill_summary()), {}, {})).text
    assert "positive, so not to be missed: 'Positive' (by name); not positive: 'Negative'" in text
    assert "\npositive\nno\nyes\n" in text and "Warning: no class" not in text


def test_several_positive_classes_are_told_together_and_each_by_its_recall() -> None:
    names = ["Hairline", "Sound", "Wide"]
    summary = fill_summary(classes=names)
    evaluation = summary.evaluation
    assert evaluation is not None
    evaluation.positive_classes = ("Hairline", "Wide")
    evaluation.slices[0].metrics = [
        MetricValue(metric="recall", label="positive", value=0.99),
        MetricValue(metric="positive_recall", label="Hairline", value=0.71),
        MetricValue(metric="positive_recall", label="Wide", value=1.0),
    ]

    def wrong(actual: str, label: str) -> NotableImage:
        return NotableImage(path=f"{actual}.jpg", actual=actual, label=label, scores=dict.fromkeys(names, 0.3))

    missed, confused = wrong("Hairline", "Sound"), wrong("Wide", "Hairline")
    images = NotableImages(
        scored=60,
        misclassified=2,
        shown="misclassified",
        by_class={"Hairline": [missed], "Sound": [wrong("Sound", "Wide")], "Wide": [confused]},
    )
    text = LinedPage(render_page(make_report(summary, images), {}, {})).text
    assert "recall of positive\n0.9900\npositive recall of Hairline\n0.7100\npositive recall of Wide\n1.0000" in text
    assert "is called positive when its summed scores of Hairline and Wide are 0.4000 or more" in text
    assert "False negatives: Hairline taken for another class" in text
    assert "False positives: Sound taken for another class" in text
    # It was called positive, if by the wrong name.
    assert "\nWide taken for another class" in text


def test_hostile_names_stay_text_in_the_page() -> None:
    summary = fill_summary(Verdict.REFUSED, classes=[HOSTILE, POSITIVE])
    assert summary.evaluation is not None
    summary.reasons = summary.data, *_ = [HOSTILE]
    summary.evaluation.positive_classes = (HOSTILE,)
    summary.evaluation.requirements[0].slice = summary.evaluation.slices[0].name = HOSTILE
    summary.evaluation.confusion = {HOSTILE: {HOSTILE: 1}}
    images = make_notable_images(HOSTILE)
    images.by_class = {HOSTILE: images.by_class[POSITIVE]}
    page = LinedPage(render_page(make_report(summary, images), {HOSTILE: PICTURES}, LINKS))
    assert len(page.of("script")) == 1, "the page's own"
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "\x00" not in page.text and "\u202e" not in page.text


def test_the_page_loads_nothing_and_its_own_links_lead_somewhere(drawn_page: str) -> None:
    page = LinedPage(drawn_page)
    loaded = [attributes["src"] or "" for attributes in page.of("img")]
    loaded += [attributes["srcset"] or "" for attributes in page.of("source")]
    assert loaded and all(address.startswith("data:image/") for address in loaded)
    assert "default-src 'none'" in drawn_page and "url(" not in drawn_page and "@import" not in drawn_page
    links = [attributes["href"] or "" for attributes in page.of("a")]
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {link for link in links if link[0] != "#"} == set(LINKS.values())
    assert {link[1:] for link in links if link[0] == "#"} == set(identifiers)


def test_the_page_can_be_used_by_keyboard_and_by_ear(drawn_page: str) -> None:
    page = LinedPage(drawn_page)
    assert page.of("a")[0]["href"] == "#content", "the first stop skips to the content"
    assert all(image["alt"] for image in page.of("img"))
    # What scrolls can be reached, and has a name.
    scrolled = [attributes for attributes in page.of("div") if attributes.get("class") == "scroll"]
    assert all(area["tabindex"] == "0" and ("aria-label" in area or "aria-labelledby" in area) for area in scrolled)
    assert len(scrolled) == len(page.of("table")) > 5
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_same_report_gives_the_same_page(drawn_page: str) -> None:
    report = make_report(fill_summary(), make_notable_images(), drawn=True)
    again = render_page(report, {"Positive/a.jpg": PICTURES}, LINKS)
    moments = "begun [^,]+|<dt>Date</dt><dd>[^,]+"
    assert re.sub(moments, "", again) == re.sub(moments, "", drawn_page)


# Curves


def test_the_metrics_of_a_threshold_are_those_of_its_counts() -> None:
    evaluation = fill_summary().evaluation
    assert evaluation is not None
    point = evaluation.curve[4]
    assert point.threshold == 0.4
    assert charts.precision(point) == 26 / 44 and charts.recall(point) == 26 / 30
    assert charts.false_positive_rate(point) == 18 / 30 and charts.f1(point) == pytest.approx(
        2 * 26 / (2 * 26 + 18 + 4)
    )
    nothing = point.model_copy(update={"true_positives": 0, "false_positives": 0})
    assert charts.precision(nothing) is None


def test_the_model_s_own_threshold_has_the_counts_of_its_decisions() -> None:
    evaluation = fill_summary().evaluation
    assert evaluation is not None
    own = ThresholdPoint(threshold=0.4, true_positives=27, false_positives=5, true_negatives=25, false_negatives=3)
    assert charts.chosen_point(evaluation) == own
    assert [point.threshold for point in charts.all_points(evaluation)] == [step / 10 for step in range(11)]
    assert charts.all_points(evaluation)[4] == own
    evaluation.threshold = 0.42
    assert [point.threshold for point in charts.all_points(evaluation)][4:6] == [0.4, 0.42]
    # Several positive classes are one side, and a label that is no class is on the other.
    evaluation.positive_classes = ("Hairline", "Wide")
    evaluation.confusion = {
        "Hairline": {"Hairline": 1, "Sound": 2, "Wide": 4, "": 8},
        "Sound": {"Hairline": 16, "Sound": 32, "Wide": 64, "": 128},
        "Wide": {"Hairline": 256, "Sound": 512, "Wide": 1024, "": 2048},
    }
    counts = charts.chosen_point(evaluation)
    assert counts is not None
    assert (counts.true_positives, counts.false_negatives) == (1 + 4 + 256 + 1024, 2 + 8 + 512 + 2048)
    assert (counts.false_positives, counts.true_negatives) == (16 + 64, 32 + 128)
    evaluation.positive_classes, evaluation.threshold, evaluation.curve = (), None, []
    assert charts.chosen_point(evaluation) is None and charts.all_points(evaluation) == []


def test_the_slider_s_numbers_stay_few_for_many_images() -> None:
    rng = np.random.default_rng(0)
    score, truth = rng.random(100_000), rng.integers(0, 2, 100_000)
    scored = ScoredImages(truth, (score > 0.5).astype(int), np.column_stack([1 - score, score]), (1,))
    summary = fill_summary()
    assert summary.evaluation is not None
    names = list(ThresholdPoint.model_fields)
    summary.evaluation.curve = [ThresholdPoint(**dict(zip(names, row, strict=True))) for row in draw_curve(scored)]
    points = json.dumps([list(point.model_dump().values()) for point in charts.all_points(summary.evaluation)])
    assert len(points) < 30_000


def test_augmented_training_images_are_shown_where_there_are_any(drawn_page: str) -> None:
    assert "Augmentation" not in drawn_page
    page = render_page(make_report(fill_summary(), drawn=True), {}, LINKS, "data:image/jpeg;base64,CCCC")
    assert '<img src="data:image/jpeg;base64,CCCC" alt="Training images of each class' in page
