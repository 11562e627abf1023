"""A Flink cluster on this machine, for tests and benchmarks: every part is a process of its own."""
