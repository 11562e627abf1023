"""Folders that crackgate has written, known by their contents."""

# A folder that holds all names of one set is ours: a workspace, of which folders may have been deleted, a model, a run,
# and what `inspect` and `export` write.
_SIGNS = (
    *(frozenset({".lock", name}) for name in ("runs", "metadata.sqlite", "pipeline", "serving", "gated", "trainer")),
    frozenset({"metadata.sqlite", "pipeline"}),
    frozenset({"saved_model.pb"}),
    frozenset({"summary.json", "report.html"}),
    frozenset({"summary.csv", "summary.json", "index.html"}),
    frozenset({"export.json", "model-float32.tflite"}),
    frozenset({"export.json", "model-float32.xml"}),
    frozenset({"export.json", "model-float32.onnx"}),
    # crackgate 0.1.0 wrote it.
    frozenset({"tflite.json"}),
)


def is_own_folder(names: frozenset[str]) -> bool:
    """Whether a folder with these names in it is one that crackgate has written."""
    return any(signs <= names for signs in _SIGNS)
