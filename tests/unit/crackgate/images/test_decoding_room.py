"""Threads decode no more images at once than there is room for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crackgate.images.decoding_room import DecodingRoom


def test_images_wait_for_room_and_a_huge_one_has_it_alone() -> None:
    room, lock, held, most = DecodingRoom(100), threading.Lock(), [0], [0]

    def decode(count: int) -> None:
        with room.taken(count):
            with lock:
                held[0] += min(count, 100)
                most[0] = max(most[0], held[0])
            time.sleep(0.001)
            with lock:
                held[0] -= min(count, 100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(decode, [30, 60, 5, 1000, 40, 99, 1] * 10))
    assert 60 < most[0] <= 100
    assert held == [0]


def test_a_failure_gives_its_room_back() -> None:
    room = DecodingRoom(10)
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"), room.taken(10):
            raise ValueError("damaged")
    with room.taken(10):
        pass
