"""The model card: what a reader has to know of a released model."""

from pathlib import Path

from crackgate.contracts.evaluation import Outcome, find_metric
from crackgate.contracts.positive_names import say_score
from crackgate.gate import wording
from crackgate.pages.templates import render_markdown
from crackgate.report.content import Report, say_comparison

# Below the serving directory; TensorFlow Serving looks at numbers alone.
CARD_FOLDER = "model_cards"
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")

_LITE = "efficientnet-lite"


def render_model_card(report: Report) -> str:
    """Renders the card of a released model, in Markdown."""
    run, evaluation = report.run, report.run.evaluation
    assert evaluation is not None, "no model is released without an evaluation"
    train = run.config["train"]
    return render_markdown(
        TEMPLATE,
        run=run,
        train=train,
        evaluation=evaluation,
        positive_score=say_score(evaluation.positive_classes),
        provenance=report.provenance,
        weights=_weights(train["backbone"], train["weights"]),
        weights_licence=_weights_licence(train["backbone"], train["weights"]),
        undecided=[row for row in evaluation.requirements if row.outcome == Outcome.WARNED],
        comparison=say_comparison(evaluation),
        find_metric=find_metric,
        wording=wording,
    )


def _weights(backbone: str, weights: str) -> str:
    known = {"imagenet": f"{backbone} trained on ImageNet.", "none": "random."}
    return known.get(weights, f"from the file {weights}, as given by the user.")


def _weights_licence(backbone: str, weights: str) -> str:
    if weights == "none":
        return "none, they were random."
    if weights != "imagenet":
        return "those of a file given by the user; crackgate does not know their licence."
    if backbone.startswith(_LITE):
        return "Apache-2.0 (EfficientNet-Lite, Google)."
    return f"those of {backbone} in keras.applications: see its documentation at https://keras.io/api/applications/."
