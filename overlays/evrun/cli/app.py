"""The commands, and what they have in common: options, and how failures end."""

from __future__ import annotations

from typing import Any

import click

from evrun import __version__
from evrun.cli.database import db
from evrun.cli.demo import demo
from evrun.cli.doctor import doctor
from evrun.cli.keeping import backup, prune
from evrun.cli.keys import keys
from evrun.cli.serve import serve
from evrun.errors import EvrunError, InvalidRequestError

WRONG_USAGE = 2
INFRASTRUCTURE_FAILED = 3


class Commands(click.Group):
    """A group whose commands end with one line and a status instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InvalidRequestError as error:
            _fail(error, WRONG_USAGE)
        except EvrunError as error:
            _fail(error, INFRASTRUCTURE_FAILED)


def _fail(error: EvrunError, status: int) -> None:
    click.echo(f"evrun: {error}", err=True)
    raise SystemExit(status)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evrun")
def app() -> None:
    """Log external generations to evaluation runs, safely.

    Start with `evrun demo`: it needs no key, no network and no port.
    """


app.add_command(demo)
app.add_command(serve)
app.add_command(keys)
db.add_command(backup)
db.add_command(prune)
app.add_command(db)
app.add_command(doctor)
