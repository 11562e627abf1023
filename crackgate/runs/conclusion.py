"""The end of a run: its verdict is decided here alone, for local runs, `crackgate gate` and Kubeflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crackgate.contracts.evaluation import Evaluation, NotableImage
from crackgate.contracts.pushed_model import PUSHED_DESTINATION
from crackgate.contracts.verdict import Verdict
from crackgate.gate.threshold_fault import say_threshold_fault
from crackgate.gate.wording import say_failures
from crackgate.releases import State, Version, find_version, verify
from crackgate.runs.lineage import Execution
from crackgate.runs.summary import Summary


def conclude(
    summary: Summary,
    executions: Mapping[str, Execution],
    rejections: Sequence[str] = (),
    failures: Sequence[str] = (),
) -> None:
    """Sets verdict, exit code, reasons and released version.

    Args:
        summary: The run's, with the findings of its components.
        executions: By component; complete if nothing was rejected and nothing failed.
        rejections: Sentences that say why the data was rejected.
        failures: Sentences about components that failed, fell silent or were interrupted.
    """
    if rejections:
        summary.conclude(Verdict.DATA_REJECTED, list(rejections))
    elif failures:
        summary.conclude(Verdict.FAILED, list(failures))
    elif summary.judges_only and executions["Evaluator"].outputs["blessing"][0].properties["blessed"]:
        summary.conclude(Verdict.PASSED, [])
    elif not summary.judges_only and (folder := _pushed_to(executions["Pusher"])):
        _conclude_release(summary, Path(folder))
    else:
        summary.conclude(Verdict.REFUSED, _refusals(summary) or ["the Evaluator refused the model: see the log"])


def _pushed_to(pusher: Execution) -> str | None:
    return pusher.outputs["pushed_model"][0].properties.get(PUSHED_DESTINATION)


def _refusals(summary: Summary) -> list[str]:
    reasons = [*say_failures(summary.evaluation), *_say_unscored(summary.evaluation)] if summary.evaluation else []
    if summary.evaluation and (fault := say_threshold_fault(summary.evaluation)):
        findings = summary.threshold
        reasons += [fault, *(findings.say_given_up() + findings.say_labels() if findings else [])]
    return reasons + [f"serving check: {reason}" for reason in (summary.serving.reasons if summary.serving else [])]


def _say_unscored(evaluation: Evaluation) -> list[str]:
    """A sentence for each kind of error that the model gave instead of scores, with an example."""
    notable = evaluation.notable_images
    examples: dict[str, NotableImage] = {}
    for image in [image for images in notable.by_class.values() for image in images] if notable else []:
        if image.error:
            examples.setdefault(image.error.partition(":")[0], image)
    return [f"the model gives {image.path!r} no score: {image.error}" for image in examples.values()]


def _conclude_release(summary: Summary, folder: Path) -> None:
    """Judges the version in `folder` as it stands now; an earlier run may have released it."""
    number = int(folder.name)
    version = find_version(folder.parent, number)
    fault = _find_fault(version)
    if version is None or fault:
        reason = (
            f"the model was released as {folder} by an earlier run and {fault}: "
            "run with --no-cache to train and release it anew"
        )
        summary.conclude(Verdict.FAILED, [reason])
    elif version.state == State.RELEASED:
        summary.pushed_version, summary.pushed_to = number, str(version.folder)
        is_new = version.manifest is not None and version.manifest.lineage.run_id == summary.run_id
        summary.conclude(Verdict.RELEASED if is_new else Verdict.UNCHANGED, [])
    elif version.state == State.STAGED:
        summary.pushed_version, summary.pushed_to = number, str(version.folder)
        reasons = [
            f"it passed, and is not in production: 'crackgate approve {number}' puts it there, "
            f"'crackgate reject {number}' withdraws it",
        ]
        summary.conclude(Verdict.STAGED, reasons)
    else:
        withdrawal = version.events[-1] if version.events else None
        told = f" on {withdrawal.when} by {withdrawal.who}: {withdrawal.why}" if withdrawal else ""
        reasons = [
            f"this very model was released or staged as version {number} and withdrawn{told}",
            f"it is not released again: reinstate it with 'crackgate rollback --to {number}', or change the data or "
            "the configuration for another model",
        ]
        summary.conclude(Verdict.WITHDRAWN, reasons)


def _find_fault(version: Version | None) -> str:
    """Reads every file, since the cache of an unchanged run does not look at the version."""
    if version is None:
        return "has been removed since"
    if version.state == State.WITHDRAWN:
        return ""
    problems = [version.problem] if version.problem else verify(version.folder, version=version.number).problems
    return f"cannot be used: {'; '.join(problems)}" if problems else ""
