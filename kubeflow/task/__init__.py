"""The code of a task's container."""
