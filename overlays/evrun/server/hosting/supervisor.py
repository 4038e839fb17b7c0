"""Several processes that do the same, until a signal stops them all.

uvicorn has a supervisor, whose workers can only be its plain servers: ours drain.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from uvicorn.config import STARTUP_FAILURE

from evrun.server.hosting.signals import ignore_sigint, sigint_blocked, stop_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    Work = Callable[[Callable[[], None]], None]
    """What a worker does. It calls what it is given when it is ready."""

_TICK = 0.25  # seconds between two looks at the workers
_STEADY = 10.0  # seconds after which a worker that ends has not just failed to start
_PAUSE, _LONGEST = 0.5, 8.0  # seconds until the next worker, after the first failure and at most

_LOGGER = logging.getLogger("uvicorn.error")  # where each worker says that it begins and ends


def supervise(count: int, work: Work) -> None:
    """Do `work` in `count` processes, and return when SIGTERM or SIGINT has ended them.

    One that ends is replaced; if that goes on, after longer and longer pauses. One that fails to
    start before any was ever ready ends all: another could not either; then it raises `SystemExit`.
    `work` is pickled.
    """
    _Workers(work, count).run()


def pause(losses: int) -> float:
    """Return the seconds until the next worker, after so many that ended soon in a row."""
    return min(_LONGEST, _PAUSE * 2.0 ** min(losses - 1, 10)) if losses else 0.0


class _Workers:
    def __init__(self, work: Work, count: int) -> None:
        self._places = [_Place(work) for _ in range(count)]
        self._stopping = False
        self._proven = False
        self._unable = False

    def run(self) -> None:
        with stop_signals(self._stop):
            self._keep_running()
        if self._unable:
            raise SystemExit(STARTUP_FAILURE)

    def _keep_running(self) -> None:
        while processes := self._tend():
            wait([each.sentinel for each in processes if each is not None], _TICK)
            # Before anybody's end is judged: whether work can be done at all.
            self._proven |= any(place.is_ready() for place in self._places)
            for place in self._places:
                if place.process is not None and not place.process.is_alive():
                    self._ended(place, place.process)

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _tend(self) -> list[SpawnProcess | None]:
        """Return all processes, after those that are due were started, or all were told to stop.

        They are told again and again: a signal that comes before a worker listens to it is lost.
        """
        if not self._stopping:
            for place in self._places:
                place.start_if_due()
            return [place.process for place in self._places]
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        return [*running]

    def _ended(self, place: _Place, process: SpawnProcess) -> None:
        seconds = place.vacate()
        if self._stopping:
            return
        if (process.exitcode or 0) > 0 and not self._proven:
            _LOGGER.error("A worker cannot start; the server ends.")
            self._unable = self._stopping = True
        else:
            _LOGGER.warning(
                "Worker %s ended; another takes its place in %s s.", process.pid, seconds
            )


class _Place:
    """Where one worker follows another."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.process: SpawnProcess | None = None
        self._news: Connection | None = None
        self._ready = False
        self._since = 0.0
        self._losses = 0
        self._due = 0.0

    def start_if_due(self) -> None:
        if self.process is not None or time.monotonic() < self._due:
            return
        # Not forked: threads and connections do not come along.
        context = multiprocessing.get_context("spawn")
        self._news, tell = context.Pipe(duplex=False)
        arguments = (self._work, tell)
        process = context.Process(target=_work_until_orphaned, args=arguments, daemon=True)
        with sigint_blocked():
            process.start()
        tell.close()
        self.process, self._since, self._ready = process, time.monotonic(), False

    def is_ready(self) -> bool:
        """Return whether the worker is, or was, ready."""
        if not self._ready and self._news is not None and self._news.poll():
            with suppress(EOFError):
                self._news.recv_bytes()
                self._ready = True
        return self._ready

    def vacate(self) -> float:
        """Forget the worker, which has ended. Return the seconds until the next one."""
        assert self._news is not None  # noqa: S101 - there was a worker
        steady = self.is_ready() and time.monotonic() - self._since > _STEADY
        self._news.close()
        self._losses = 0 if steady else self._losses + 1
        self.process = self._news = None
        seconds = pause(self._losses)
        self._due = time.monotonic() + seconds
        return seconds


def _work_until_orphaned(work: Work, tell: Connection) -> None:
    """Do `work`, and be told to stop when the supervisor is gone.

    A killed one tells nobody: its workers would serve on, and keep the port from the next server.
    """
    ignore_sigint()
    threading.Thread(target=_stop_when_orphaned, name="evrun-orphaned", daemon=True).start()

    def ready() -> None:
        with suppress(OSError):  # the supervisor is gone
            tell.send_bytes(b"ready")

    work(ready)


def _stop_when_orphaned() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None  # noqa: S101 - this process was made by one
    supervisor.join()
    while True:  # a signal that comes before the server listens to it is lost
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
