"""Releases a model that passed its gates into the serving directory."""
