"""Tools for who develops crackgate: benchmarks, and a Flink cluster for tests."""
