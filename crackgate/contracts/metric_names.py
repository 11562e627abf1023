"""Names of the metrics, declared once for computing, configuring and reading them. Without heavy imports."""

ACCURACY = "accuracy"
BALANCED_ACCURACY = "balanced_accuracy"
LOG_LOSS = "log_loss"
BRIER = "brier"
CALIBRATION_ERROR = "calibration_error"
PRECISION = "precision"
RECALL = "recall"
F1 = "f1"
AUC = "auc"
PR_AUC = "pr_auc"
RECALL_AT_PRECISION = "recall_at_precision"
PRECISION_AT_RECALL = "precision_at_recall"
# Share of the images of one of several positive classes that are called positive, whichever of them is their label.
POSITIVE_RECALL = "positive_recall"

OVERALL = (ACCURACY, BALANCED_ACCURACY, LOG_LOSS, BRIER, CALIBRATION_ERROR)
PER_CLASS = (PRECISION, RECALL, F1, AUC, PR_AUC, RECALL_AT_PRECISION, PRECISION_AT_RECALL)
# These count images of other classes too, and say nothing without one.
OF_BOTH_SIDES = (PRECISION, F1, PR_AUC, RECALL_AT_PRECISION, PRECISION_AT_RECALL)
LESS_IS_BETTER = (LOG_LOSS, BRIER, CALIBRATION_ERROR)
# Shares of images, whose interval needs no resampling and holds at 0 and 1, too.
PROPORTIONS = (ACCURACY, PRECISION, RECALL, POSITIVE_RECALL)

# Counts of images, beside the metrics; `UNFAMILIAR` are those unlike the training images. The gate allows none of
# `COUNTS`.
IMAGES = "images"
UNUSABLE_SCORES = "unusable_scores"
SEEN_IN_TRAINING = "seen_in_training"
UNFAMILIAR = "unfamiliar"
COUNTS = (SEEN_IN_TRAINING, UNUSABLE_SCORES)
ONLY_CANDIDATE_RIGHT = "only_candidate_right"
ONLY_BASELINE_RIGHT = "only_baseline_right"
MCNEMAR_P = "mcnemar_p"
CONFUSION = "confusion"
CURVE = "curve"
RELIABILITY = "reliability"
# JSON of `evaluation.NotableImages` and of `doubtful_label.DoubtfulLabels`; and among the predictions, the image's path
# below the data folder.
NOTABLE_IMAGES = "notable_images"
DOUBTFUL_LABELS = "doubtful_labels"
PATH = "path"

# Appended to a metric's name: the ends of its interval, and its difference from the baseline's.
LOW = "_low"
HIGH = "_high"
CHANGE = "_change"

# The feature that slices are made of, and its values.
SLICE = "slice"
DARK = "dark"
BRIGHT = "bright"
BLURRED = "blurred"
LOW_CONTRAST = "low contrast"
QUALITY_SLICES = (DARK, BRIGHT, BLURRED, LOW_CONTRAST)


PART_SLICE = "part "


def part_slice(part: str) -> str:
    """Name of the slice of a surface's or site's folder."""
    return f"{PART_SLICE}{part}"


def class_slice(label: str) -> str:
    """Name of the slice of one class."""
    return f"class {label}"
