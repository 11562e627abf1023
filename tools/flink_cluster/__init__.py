"""A Flink cluster on this machine, for tests and benchmarks, with a process for each part."""
