"""Custom TFX components, one folder each: `component.py` is the specification, `executor.py` the work."""
