"""Contracts between rooms: stored examples, a model's files and card, metrics, an evaluation, errors."""
