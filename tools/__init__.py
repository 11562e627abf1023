"""Tools for the development of crackgate: benchmarks, and a Flink cluster for tests."""
