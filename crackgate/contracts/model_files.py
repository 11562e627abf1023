"""Files of a released model, relative to the version's folder; the reference lies beside the training's curves."""

from pathlib import Path

# One line: what the served outputs give as `model_version`. "unreleased" until the model is pushed.
MODEL_VERSION_FILE = Path("assets") / "model_version.txt"
# Classes, input size, threshold and calibration, for people and programs.
CARD_FILE = Path("assets.extra") / "classifier.json"
# Requests that TensorFlow Serving sends the model when it has loaded it: TFRecords of PredictionLog.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# TFDV's statistics of the images that a version was trained and judged on, one folder for each split.
STATISTICS_FOLDER = Path("assets.extra") / "statistics"
# The network in OpenVINO's form, which answers without TensorFlow: its graph, its weights, and some photographs as
# `pixels`, uint8 (images, size, size, 3), with the SavedModel's outputs for them, `scores` and `unfamiliarity`.
NETWORK_FILE = Path("assets.extra") / "network.xml"
NETWORK_WEIGHTS_FILE = NETWORK_FILE.with_suffix(".bin")
NETWORK_CHECK_FILE = Path("assets.extra") / "network_check.npz"
NETWORK_FILES = (NETWORK_FILE, NETWORK_WEIGHTS_FILE, NETWORK_CHECK_FILE)
# In the Trainer's `model_run`: examples as `serving_default` takes them, each with `stored_example.REFERENCE_SCORES`.
REFERENCE_FILE = "reference.tfrecord.gz"
# How far a copy's unfamiliarity may lie from what the training recorded, relative to values above 1.
UNFAMILIARITY_TOLERANCE = 1e-3
# The last file that a push writes: SHA-256 of all others, metrics, lineage. Without it a version is not complete.
MANIFEST_FILE = Path("manifest.json")
# Ed25519 signature of the manifest's bytes, 64 bytes. Only where releases are signed.
SIGNATURE_FILE = Path("manifest.sig")
