"""Benchmarks against what one would otherwise use, on real photographs."""
