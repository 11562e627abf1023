"""The number of threads that read."""

from crackgate.storage.concurrency import count_threads


def test_threads_wait_for_a_store_but_not_so_many_that_a_slow_line_serves_none() -> None:
    assert [count_threads(cores, True) for cores in (1, 2, 4, 16, 64)] == [8, 16, 32, 32, 64]
    assert [count_threads(cores, False) for cores in (1, 2, 64)] == [1, 2, 64]
