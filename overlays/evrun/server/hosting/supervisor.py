"""The supervisor: several processes with the same work, until a signal stops them all.

Why not uvicorn's `Multiprocess`: its workers run a plain `uvicorn.Server`, which does not drain. It
replaces a failing worker without a delay, and ends all workers if a replacement cannot start, such
as while the database is down. If it is killed, its workers go on.
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
    """The work of a worker. It calls its argument when it is ready."""

_POLL_INTERVAL = 0.25  # seconds between two looks at the workers
_STABLE_AFTER = 10.0  # seconds: a worker that lives so long has not failed to start
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 8.0  # seconds until the next worker

_LOGGER = logging.getLogger("uvicorn.error")  # where workers log their start and end


def supervise(count: int, work: Work) -> None:
    """Do `work` in `count` processes, and return when SIGTERM or SIGINT has ended them.

    A worker that ends is replaced, after longer and longer delays if that happens again and again.
    If a worker fails to start before any was ready, all end: raises `SystemExit`. `work` is
    pickled.
    """
    _Supervisor(work, count).run()


def restart_delay(failures: int) -> float:
    """Return the seconds until the next worker, after so many that ended early in a row."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 10)) if failures else 0.0


class _Supervisor:
    def __init__(self, work: Work, count: int) -> None:
        self._slots = [_WorkerSlot(work) for _ in range(count)]
        self._stopping = False
        self._any_ready = False
        self._failed = False

    def run(self) -> None:
        with stop_signals(self._stop):
            self._keep_running()
        if self._failed:
            raise SystemExit(STARTUP_FAILURE)

    def _keep_running(self) -> None:
        while processes := self._tend():
            wait([each.sentinel for each in processes if each is not None], _POLL_INTERVAL)
            # First: a worker that has ended may have been ready before.
            self._any_ready |= any(slot.is_ready() for slot in self._slots)
            for slot in self._slots:
                if slot.process is not None and not slot.process.is_alive():
                    self._ended(slot, slot.process)

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _tend(self) -> list[SpawnProcess | None]:
        """Start the workers that are due, or tell all to stop, and return their processes.

        Each call tells them again: a worker without a signal handler yet loses a signal.
        """
        if not self._stopping:
            for slot in self._slots:
                slot.start_if_due()
            return [slot.process for slot in self._slots]
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        return [*running]

    def _ended(self, slot: _WorkerSlot, process: SpawnProcess) -> None:
        seconds = slot.clear()
        if self._stopping:
            return
        if (process.exitcode or 0) > 0 and not self._any_ready:
            _LOGGER.error("A worker cannot start; the server ends.")
            self._failed = self._stopping = True
        else:
            _LOGGER.warning(
                "Worker %s ended; another takes its slot in %s s.", process.pid, seconds
            )


class _WorkerSlot:
    """One of the workers, and those that replace it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.process: SpawnProcess | None = None
        self._ready_pipe: Connection | None = None
        self._ready = False
        self._since = 0.0
        self._failures = 0
        self._due = 0.0

    def start_if_due(self) -> None:
        if self.process is not None or time.monotonic() < self._due:
            return
        # Not forked: threads do not survive a fork, and connections must not be shared.
        context = multiprocessing.get_context("spawn")
        self._ready_pipe, sender = context.Pipe(duplex=False)
        arguments = (self._work, sender)
        process = context.Process(target=_work_until_orphaned, args=arguments, daemon=True)
        with sigint_blocked():
            process.start()
        sender.close()
        self.process, self._since, self._ready = process, time.monotonic(), False

    def is_ready(self) -> bool:
        """Return whether the worker is or was ready."""
        if not self._ready and self._ready_pipe is not None and self._ready_pipe.poll():
            with suppress(EOFError):
                self._ready_pipe.recv_bytes()
                self._ready = True
        return self._ready

    def clear(self) -> float:
        """Forget the worker, which has ended. Return the seconds until the next one."""
        assert self._ready_pipe is not None  # noqa: S101 - there was a worker
        stable = self.is_ready() and time.monotonic() - self._since > _STABLE_AFTER
        self._ready_pipe.close()
        self._failures = 0 if stable else self._failures + 1
        self.process = self._ready_pipe = None
        seconds = restart_delay(self._failures)
        self._due = time.monotonic() + seconds
        return seconds


def _work_until_orphaned(work: Work, sender: Connection) -> None:
    """Do `work`, and stop when the supervisor is gone.

    A killed supervisor sends no signal: its workers would go on and keep the port.
    """
    ignore_sigint()
    threading.Thread(target=_stop_when_orphaned, name="evrun-orphaned", daemon=True).start()

    def ready() -> None:
        with suppress(OSError):  # the supervisor is gone
            sender.send_bytes(b"ready")

    work(ready)


def _stop_when_orphaned() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None  # noqa: S101 - this process was made by one
    supervisor.join()
    while True:  # again and again: without a handler yet, a signal is lost
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
