"""The group of commands. A failure ends with one line and an exit status."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from evrun import __version__
from evrun.cli.db import db
from evrun.cli.demo import demo
from evrun.cli.doctor import doctor
from evrun.cli.group import Group
from evrun.cli.keys import keys
from evrun.cli.serve import serve
from evrun.cli.transfer import export, import_
from evrun.errors import EvrunError, InvalidRequestError
from evrun_interrupt import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG_USAGE = 2
INFRASTRUCTURE_FAILED = 3
NOBODY_READS = 141
"""128 plus SIGPIPE's number, as for other programs whose reader closes the pipe: `… | head`."""


class Commands(Group):
    """A group whose commands end with one line and a status instead of a traceback."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the arguments. `--help` and `--version` print here."""
        with _one_line():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _one_line():
            done = super().invoke(ctx)
            sys.stdout.flush()  # a failure at the interpreter's exit would print a traceback
            return done


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except InvalidRequestError as error:
        _fail(error, WRONG_USAGE)
    except EvrunError as error:
        _fail(error, INFRASTRUCTURE_FAILED)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _give_up_output()
        raise SystemExit(NOBODY_READS) from None
    except OSError as error:
        if error.filename is not None:
            raise
        # Code that uses files or connections reports their errors. Only the output is left.
        _give_up_output()
        _fail(
            f"The output cannot be written: {error.strerror or error}. It is incomplete.",
            INFRASTRUCTURE_FAILED,
        )


def _fail(error: EvrunError | str, status: int) -> NoReturn:
    click.echo(f"evrun: {error}", err=True)
    raise SystemExit(status)


def _give_up_output() -> None:
    """Redirect standard output to the null device, so that the last flush raises nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evrun")
def app() -> None:
    """Log external generations to evaluation runs, safely.

    Start with `evrun demo`: it needs no key, no network and no port.

    --database takes the path or URL of a database. Without it, a command (except doctor) uses
    the environment variable EVRUN_LOCAL (a path) or EVRUN_BASE_URL (the address of a server). Set
    only one of them.
    """


app.add_command(demo)
app.add_command(serve)
app.add_command(keys)
app.add_command(db)
app.add_command(export)
app.add_command(import_)
app.add_command(doctor)
