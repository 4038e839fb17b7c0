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
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import SpawnProcess

_LOGGER = logging.getLogger("uvicorn.error")  # where each worker says that it begins and ends


def supervise(count: int, work: Callable[[], None]) -> None:
    """Do `work` in `count` processes, and return when SIGTERM or SIGINT has ended them.

    One that dies is replaced. One that cannot even start ends all: another could not either; then
    it raises `SystemExit`. `work` is pickled.
    """
    _Workers(work).run(count)


class _Workers:
    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._running: list[SpawnProcess] = []
        self._stopping = False

    def run(self, count: int) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: self._stop())
        for _ in range(count):
            self._start()
        unable = False
        while self._running:
            wait([each.sentinel for each in self._running])
            for worker in [each for each in self._running if not each.is_alive()]:
                self._running.remove(worker)
                if self._stopping:
                    continue
                if worker.exitcode == STARTUP_FAILURE:
                    _LOGGER.error("A worker cannot start; the server ends.")
                    unable = True
                    self._stop()
                else:
                    _LOGGER.warning("Worker %s ended; another takes its place.", worker.pid)
                    self._start()
        if unable:
            raise SystemExit(STARTUP_FAILURE)

    def _start(self) -> None:
        # Not forked: threads and connections do not come along.
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=_work_until_orphaned, args=(self._work,), daemon=True)
        worker.start()
        self._running.append(worker)
        if self._stopping:  # the signal came meanwhile
            worker.terminate()

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._running:
            worker.terminate()


def _work_until_orphaned(work: Callable[[], None]) -> None:
    """Do `work`, and be told to stop when the supervisor is gone.

    A killed one tells nobody: its workers would serve on, and keep the port from the next server.
    """
    threading.Thread(target=_stop_when_orphaned, name="evrun-orphaned", daemon=True).start()
    work()


def _stop_when_orphaned() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None  # noqa: S101 - this process was made by one
    supervisor.join()
    while True:  # a signal that comes before the server listens to it is lost
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
