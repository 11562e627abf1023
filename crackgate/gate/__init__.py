"""The requirements on a model, and the metrics with intervals that they are about."""
