"""Tables and styled lines on standard output."""

from __future__ import annotations

from typing import NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


class Output(Console):
    """rich's console, which leaves it to the command what a reader that is gone means."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what was raised. rich would exit with 1, the status of a gate that failed."""
        raise BrokenPipeError


def narrow_table() -> Table:
    """Return a table without frames, so that it fits on a screen of 60 columns."""
    return Table(box=SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
