"""Work for `supervise`, which hands it to other processes by its name."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def stubborn(ready: Callable[[], None]) -> None:
    """Overhear the first two signals."""
    overheard: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: overheard.append(1))
    ready()
    sys.stderr.write("ready\n")
    while len(overheard) <= 2:
        time.sleep(0.05)


def short(ready: Callable[[], None]) -> None:
    """Be ready, and die at once."""
    ready()
    sys.stderr.write(f"began {time.monotonic()}\n")
    os._exit(1)


def unable(_: Callable[[], None]) -> None:
    """Fail to start."""
    sys.exit(3)


def interrupt(module: str, *, of_workers: bool, sig: str) -> None:
    """Stop `evrun serve` when that module is about to be imported, as somebody would just then.

    SIGINT goes to all its processes, as Ctrl-C does; SIGTERM to the one that was started.
    """
    number = getattr(signal, sig)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where tests run in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name != module or threading.current_thread() is not threading.main_thread():
                return
            sys.meta_path.remove(self)
            if number == signal.SIGINT:
                os.killpg(0, number)
            else:
                os.kill(os.getppid() if of_workers else os.getpid(), number)
            time.sleep(0.5)

    if of_workers == any("multiprocessing-fork" in each for each in sys.orig_argv):
        sys.meta_path.insert(0, Finder())
