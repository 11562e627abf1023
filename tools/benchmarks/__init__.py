"""Benchmarks on real photographs: `python -m tools.benchmarks.NAME`, each with `--help`."""
