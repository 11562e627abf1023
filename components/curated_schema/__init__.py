"""Emits the schema that every data set has to meet."""
