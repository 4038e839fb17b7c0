"""Progress on a terminal: a line on standard error, removed at the end."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Advanced = Callable[[int, int | None], object]
    """Takes the number of finished items, and the total or None."""


@contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[Advanced]:
    """Yield a function that shows the progress. Without a terminal it shows nothing."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        # Output does not go through rich: it is bytes, or printed afterwards.
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not (shown and sys.stderr.isatty()),
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
