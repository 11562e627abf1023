"""`crackgate serve`: TensorFlow Serving's REST and gRPC interfaces, for those who have no TensorFlow Serving."""
