"""ServingCheck: whether the exported model serves as it is, in a process that has nothing but TensorFlow."""
