"""Finds the model that a candidate has to be compared with."""
