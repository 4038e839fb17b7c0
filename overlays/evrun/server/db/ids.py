"""New ids: a prefix and 21 base-62 characters that sort by time.

Eight characters are the millisecond, thirteen are random. Within a process ids only grow, so that
the indexes over them stay dense and sorting by id is sorting by age.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import time
from functools import lru_cache

from evrun.server.db import forking

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # ASCII order
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # by their number
_TRIPLES = 7  # of characters; the last three of them are most of what ids of a moment differ in
_RANDOM = 62**13
_DRAWN = 128  # random numbers at a time
_STEP = 2**40  # the largest distance between two ids of the same millisecond


class _Sequence(forking.Forkable):
    """Growing numbers, also when the clock stands still or steps back."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()
        self._steps: list[int] = []

    def next(self) -> int:
        earliest = (time.time_ns() // 1_000_000) * _RANDOM
        with self._lock:
            if earliest > self._last:
                self._last = earliest + secrets.randbelow(_RANDOM)
            else:
                # The same millisecond, or an earlier one by a clock that was set back: stay close,
                # or a few large random parts use the millisecond up.
                self._last += 1 + self._step()
            return self._last

    def _step(self) -> int:
        if not self._steps:
            # Many at a time: asking the system costs more than all else that is done for an id.
            self._steps = [*struct.unpack(f"<{_DRAWN}Q", os.urandom(8 * _DRAWN))]
        return int(self._steps.pop() % _STEP)

    def after_fork_in_child(self) -> None:
        """Forget the lock, which another thread may have held, and what the parent will use too."""
        self._lock = threading.Lock()
        self._steps = []


_SEQUENCE = _Sequence()
forking.watch(_SEQUENCE)


def new_id(prefix: str) -> str:
    """Return a fresh id with `prefix`, such as `data_`."""
    high, low = divmod(_SEQUENCE.next(), 62**9)
    return prefix + _high(high) + _written(low, 3)


def _written(number: int, triples: int) -> str:
    written = ""
    for _ in range(triples):
        number, triple = divmod(number, 62**3)
        pair, single = divmod(triple, 62)
        written = _PAIRS[pair] + _ALPHABET[single] + written
    return written


@lru_cache(maxsize=1)
def _high(number: int) -> str:
    return _written(number, _TRIPLES - 3)
