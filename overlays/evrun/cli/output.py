"""Tables and styled lines on standard output."""

from __future__ import annotations

from typing import NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


class Output(Console):
    """rich's console, but it raises when the reader has closed the output."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise. rich would exit with 1, which is the status of a failed gate."""
        raise BrokenPipeError


def narrow_table() -> Table:
    """Return a table without a frame, which fits on a screen of 60 columns."""
    return Table(box=SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
