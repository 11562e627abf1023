"""After a verdict: the commands for a release, or what stays in production, which images failed, and what to try."""

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import Evaluation, NotableImage, Outcome, Requirement
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import say_subject
from crackgate.plural import counted
from crackgate.releases import production_number
from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace

# The surest mistakes that are named; the report shows all of them.
_IMAGES_OF_A_CLASS = 2


class NextStep(NamedTuple):
    """One line: what it is about, and a sentence or a command."""

    about: str
    said: str


def next_steps(summary: Summary, workspace: Workspace, serving: Path) -> list[NextStep]:
    """Returns what a user may do after the run; `serving` is the serving directory."""
    place = _say_place(workspace, serving)
    if summary.verdict in (Verdict.RELEASED, Verdict.UNCHANGED):
        return [*_other_in_production(summary, serving), *_uses("", place)]
    if summary.verdict == Verdict.STAGED:
        approval = f"crackgate approve {summary.pushed_version} --reason WHY {place}".rstrip()
        return [_in_production(serving), *_uses("--model staged", place), NextStep("approve", approval)]
    gated = NextStep("production", "'crackgate gate' releases nothing and changes nothing")
    steps = [gated if summary.judges_only else _in_production(serving)]
    if summary.verdict == Verdict.REFUSED:
        steps += [NextStep("images", said) for said in _say_images(summary.evaluation)]
        steps += [NextStep("try", said) for said in _advise(summary, workspace, serving)]
    if summary.verdict == Verdict.DATA_REJECTED:
        steps.append(NextStep("try", "mend or remove what is named above, or change the limit that is named"))
    if summary.verdict == Verdict.FAILED:
        steps.append(NextStep("try", "read the end of the log; the next run takes over what was finished"))
    return steps


def _say_place(workspace: Workspace, serving: Path) -> str:
    """The options by which a command in the current folder finds the serving directory."""
    if serving != workspace.serving:
        return f"--serving {shlex.quote(str(serving))}"
    is_default = workspace.root == Path("workspace").resolve()
    return "" if is_default else f"--workspace {shlex.quote(str(workspace.root))}"


def _uses(model: str, place: str) -> list[NextStep]:
    return [
        NextStep(command.partition(" ")[0], " ".join(filter(None, ("crackgate", command, model, place))))
        for command in ("predict PHOTOGRAPHS", "inspect PHOTOGRAPHS --output FINDINGS", "serve")
    ]


def _in_production(serving: Path) -> NextStep:
    number = production_number(serving)
    return NextStep("production", f"version {number} stays in production" if number else "no version is in production")


def _other_in_production(summary: Summary, serving: Path) -> list[NextStep]:
    """The version in production, where a run came to an older one again."""
    return [_in_production(serving)] if production_number(serving) != summary.pushed_version else []


def _say_images(evaluation: Evaluation | None) -> Iterator[str]:
    notable = evaluation.notable_images if evaluation else None
    if notable is None or not notable.misclassified:
        return
    shown = [image for images in notable.by_class.values() for image in islice(images, _IMAGES_OF_A_CLASS)]
    mistakes = counted(notable.misclassified, "misclassified image")
    yield f"{', '.join(map(_say_image, shown))}; the report shows the surest of {mistakes}"


def _say_image(image: NotableImage) -> str:
    called = f"called {image.label}" if image.label else "without a score"
    return f"{image.path!r} ({image.actual}, {called})"


def _advise(summary: Summary, workspace: Workspace, serving: Path) -> Iterator[str]:
    rows = summary.evaluation.requirements if summary.evaluation else []
    failed = [row for row in rows if row.outcome == Outcome.FAILED]
    for row in failed:
        if not row.change and _is_met(row, row.estimate.value):
            yield (
                f"more test images of {row.label or 'all classes'}: the {say_subject(row)} itself is enough, and "
                f"{counted(row.images, 'image')} cannot show it"
            )
    if any(row.metric == metric_names.SEEN_IN_TRAINING for row in failed):
        yield "photographs that the model was not trained on"
    if labels := summary.outputs.get("label_list"):
        option = "--set data.labels=FILE" if summary.judges_only else "--labels FILE"
        yield f"correct the labels that may be wrong in {shlex.quote(labels)}, and give that file by {option}"
    if any(row.change for row in failed) and serving == workspace.serving:
        place = _say_place(workspace, serving)
        yield f"crackgate compare {production_number(serving)} {summary.run_id} {place}".rstrip()
    if summary.serving and not summary.serving.passed:
        yield "a smaller network, or other limits in [serving_check] where this machine is slower than what serves"
    if failed and not summary.judges_only:
        yield "more training images like those misclassified, or a larger train.image_size (docs/training.md)"


def _is_met(row: Requirement, value: float | None) -> bool:
    if value is None or row.judged_by == "estimate":
        return False
    return value >= row.bound if row.direction == "at least" else value <= row.bound
