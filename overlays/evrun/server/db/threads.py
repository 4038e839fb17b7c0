"""Threads that work for the server until the very end of the interpreter.

Python's executors take no work once the main thread has ended. But a thread that outlives it may
still log to `Evrun.local`, and so may an `atexit` handler.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Up to `most` threads, which start when they are needed."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._changing = threading.Lock()

    def submit(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Return the future of `function`'s answer.

        Raises `RuntimeError` if there is no thread and none can be started: the machine has none
        left, or the main thread has ended (Python 3.12).
        """
        if not self._idle.acquire(blocking=False):
            self._grow()
        future: Future[T] = Future()
        self._tasks.put(partial(_answer, future, partial(function, *arguments, **named)))
        return future

    def _grow(self) -> None:
        with self._changing:
            if len(self._threads) == self._most:
                return
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # it holds what it worked on
            self._idle.release()

    def shutdown(self) -> None:
        """Do what was submitted, then end the threads. Nothing may be submitted afterwards."""
        with self._changing:
            for _ in self._threads:
                self._tasks.put(None)
            for thread in self._threads:
                thread.join()


def begin(function: Callable[[], T], name: str) -> Future[T]:
    """Return the future of `function`'s answer: from a thread of its own, or from this one.

    It is this one if no other can be started.
    """
    future: Future[T] = Future()
    task = partial(_answer, future, function)
    try:
        threading.Thread(target=task, name=name, daemon=True).start()
    except RuntimeError:
        task()
    return future


def _answer(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised where the future is asked
        future.set_exception(error)
