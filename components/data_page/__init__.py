"""Shows a person the data that a model learns from: one page, to be opened in any browser."""
