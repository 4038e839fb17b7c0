"""Tables and styled lines on standard output."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Output(Console):
    """rich's console, which leaves it to the command what a reader that is gone means."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what was raised. rich would exit with 1, the status of a gate that failed."""
        raise BrokenPipeError
