"""Stops the run when the same picture is in two splits."""
