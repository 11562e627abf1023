"""Output of a training: the SavedModel with its warm-up, reference and digests, and the training report."""
