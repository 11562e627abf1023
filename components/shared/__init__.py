"""Code of several components."""
