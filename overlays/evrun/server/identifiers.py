"""New ids: a prefix and 21 base-62 characters that sort by time.

Eight characters are the millisecond, thirteen are random. Within a process ids only grow, so that
the indexes over them stay dense and sorting by id is sorting by age.
"""

from __future__ import annotations

import os
import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # ASCII order
_LENGTH = 21
_RANDOM = 62**13
_STEP = 2**40  # the largest distance between two ids of the same millisecond


class _Sequence:
    """Growing numbers, also when the clock stands still or steps back."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        fresh = (time.time_ns() // 1_000_000) * _RANDOM + secrets.randbelow(_RANDOM)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + secrets.randbelow(_STEP)
            elif fresh // _RANDOM == self._last // _RANDOM:
                # The same millisecond: stay close, or a few large random parts use it up.
                fresh = self._last + 1 + secrets.randbelow(_STEP)
            self._last = fresh
        return fresh

    def reset_lock(self) -> None:
        """Forget a lock that another thread held when this process was forked."""
        self._lock = threading.Lock()


_SEQUENCE = _Sequence()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SEQUENCE.reset_lock)


def new_id(prefix: str) -> str:
    """Return a fresh id with `prefix`, such as `data_`."""
    number = _SEQUENCE.next()
    characters = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return prefix + "".join(reversed(characters))
