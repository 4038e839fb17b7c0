"""Several calls at a time, in threads that begin and end with them.

Not by `concurrent.futures`: its executors take no work once the main thread has ended. A thread
that outlives it, or an `atexit` handler, may still have something to log.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Sequence[T], most: int) -> list[R]:
    """Return `function` of each item, in order. Up to `most` threads call it, this one included.

    Each thread has the context variables of this one. If no thread can be started, this one does
    all the work. What `function` raises is raised here after all threads have ended; no further
    item is begun then.
    """
    queue = enumerate(items)
    taking = threading.Lock()
    results: dict[int, R] = {}
    failed: list[BaseException] = []

    def take() -> tuple[int, T] | None:
        with taking:
            return next(queue, None)

    def work() -> None:
        try:
            while not failed and (taken := take()) is not None:
                place, item = taken
                results[place] = function(item)
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the caller's thread
            failed.append(error)

    threads = _started(work, min(most, len(items)) - 1)
    work()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [results[place] for place in range(len(items))]


def _started(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """Start up to `count` threads, fewer if the system refuses more."""
    threads: list[threading.Thread] = []
    for _ in range(count):
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(work,), name="evrun-call")
        try:
            thread.start()
        except RuntimeError:  # the machine has none left, or the interpreter ends (Python 3.12)
            break
        threads.append(thread)
    return threads
