"""Requirements in words."""

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, Outcome, Requirement


def say_failures(evaluation: Evaluation) -> list[str]:
    """One sentence for each requirement that was missed; where no figure can be computed, only why."""
    failed = [row for row in evaluation.requirements if row.outcome == Outcome.FAILED]
    if any(row.metric == metric_names.UNUSABLE_SCORES and row.figure.value for row in failed):
        failed = [row for row in failed if row.figure.value is not None]
    return [_describe(row) for row in failed]


def _describe(row: Requirement) -> str:
    subject = row.metric.replace("_", " ") + (f" of {row.label!r}" if row.label else "")
    where = "" if row.slice == ALL_IMAGES else f" in the slice {row.slice!r} ({row.images} images)"
    if not row.images:
        of_class = f" of {row.label!r}" if row.label else ""
        place = "test" if row.slice == ALL_IMAGES else f"the slice {row.slice!r} of test"
        return f"there is no image{of_class} in {place}, so that {subject} there cannot be judged: add such images"
    if row.metric == metric_names.SEEN_IN_TRAINING and row.figure.value:
        return f"the model was trained on {row.figure.value:.0f} of the {row.images} test images, which proves nothing"
    if row.metric == metric_names.UNUSABLE_SCORES:
        return (
            f"the scores of {row.figure.value or 0:.0f} of {row.images} test images are not numbers from 0 to 1, "
            "so that no figure can be computed"
        )
    required = f"required is {row.bound:g} or {'more' if row.direction == 'at least' else 'less'}"
    if row.change:
        subject = f"{row.change} change of {subject} against the model in service"
    value = {"estimate": row.figure.value, "lower bound": row.figure.low, "upper bound": row.figure.high}[row.judged_by]
    if value is None:
        return f"{subject}{where} is not a number, {required}"
    if row.judged_by != "estimate":
        return f"{subject}{where} is {row.figure.value:.4f}, its {row.judged_by} {value:.4f}; {required}"
    return f"{subject}{where} is {value:.4f}, {required}"
