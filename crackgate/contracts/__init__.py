"""What two parts of the project agree on: stored examples, a model's files and card, metrics, an evaluation, errors."""
