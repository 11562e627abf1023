"""Stops the run when the data does not meet its schema."""
