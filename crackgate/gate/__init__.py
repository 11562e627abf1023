"""What a model has to reach: metrics with their intervals, and the requirements on them."""
