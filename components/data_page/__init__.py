"""Shows a person the data that a model learns from, on one page for any browser."""
