"""Everything that a training leaves: the SavedModel, its warm-up and reference, reports."""
