"""A group of commands whose `--help` shows each summary in full."""

from __future__ import annotations

import click

_UNCUT = 10_000  # characters


class Group(click.Group):
    """A group that wraps long summaries. click's own group cuts them with "..."."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        rows = [
            (name, self.commands[name].get_short_help_str(_UNCUT))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
