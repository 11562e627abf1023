"""ServingCheck: whether the exported model serves in a process that has only TensorFlow."""
