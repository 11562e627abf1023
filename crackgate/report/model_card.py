"""The model card: what whoever meets a released model has to know of it."""

import re
from pathlib import Path
from typing import Any

import jinja2

from crackgate.contracts.evaluation import Outcome, find_metric
from crackgate.gate.wording import say_estimate, say_interval, say_metric, say_requirement, say_subject
from crackgate.pages.html import show
from crackgate.report.content import Report, say_comparison

# Below the serving directory; TensorFlow Serving looks at numbers alone.
CARD_FOLDER = "model_cards"
TEMPLATE_FILE = "model_card.md.jinja"

_LITE = "efficientnet-lite"
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def render_model_card(report: Report) -> str:
    """Renders the card of a released model, in Markdown."""
    run, evaluation = report.run, report.run.evaluation
    assert evaluation is not None, "no model is released without an evaluation"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Every value, as autoescape does in HTML; the template's own text stays as it is.
        finalize=_escape,
    )
    train = run.config["train"]
    return environment.get_template(TEMPLATE_FILE).render(
        run=run,
        train=train,
        evaluation=evaluation,
        provenance=report.provenance,
        weights=_weights(train["backbone"], train["weights"]),
        weights_licence=_weights_licence(train["backbone"], train["weights"]),
        requirements=[f"{row.outcome}: {say_requirement(row)}" for row in evaluation.requirements],
        undecided=[say_subject(row) for row in evaluation.requirements if row.outcome == Outcome.WARNED],
        comparison=say_comparison(evaluation),
        find_metric=find_metric,
        say_metric=say_metric,
        say_estimate=say_estimate,
        say_interval=say_interval,
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


def _escape(value: Any) -> Any:
    """Text as Markdown that shows it, on one line."""
    return _SPECIAL.sub(r"\\\1", show(value)) if isinstance(value, str) else value
