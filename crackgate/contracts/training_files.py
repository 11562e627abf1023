"""Files that a training leaves in its folder, the Trainer's `model_run`, for the report."""

CURVES_FILE = "training_curves.png"
RELIABILITY_FILE = "reliability.png"
REPORT_FILE = "classification_report.json"
HISTORY_FILE = "history.json"
CPU_SECONDS_FILE = "cpu_seconds.json"
DOUBTS_FILE = "doubtful_labels.json"
KERAS_FILE = "classifier.keras"
# Absent where no view is augmented.
AUGMENTATION_FILE = "augmentation.keras"
AUGMENTATION_SHEET_FILE = "augmentation.png"
