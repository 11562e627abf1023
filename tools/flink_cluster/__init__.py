"""A Flink cluster on this machine for tests and benchmarks: every part a process of its own, as on many machines."""
