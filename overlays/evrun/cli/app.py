"""The commands, and what they have in common: how failures end."""

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
from evrun_command import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG_USAGE = 2
INFRASTRUCTURE_FAILED = 3
NOBODY_READS = 141
"""128 and the number of SIGPIPE, which ends other programs whose reader is gone: `… | head`."""


class Commands(Group):
    """A group whose commands end with one line and a status instead of a traceback."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Read the arguments. `--help` and `--version` print here."""
        with _one_line():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _one_line():
            done = super().invoke(ctx)
            sys.stdout.flush()  # at the interpreter's exit, a failure would print a trace
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
        # Files and connections are reported by what uses them. What is left is the output.
        _give_up_output()
        _fail(
            f"The output cannot be written: {error.strerror or error}. It is not whole.",
            INFRASTRUCTURE_FAILED,
        )


def _fail(error: EvrunError | str, status: int) -> NoReturn:
    click.echo(f"evrun: {error}", err=True)
    raise SystemExit(status)


def _give_up_output() -> None:
    """Let what is still to be written to standard output go nowhere, without a complaint."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evrun")
def app() -> None:
    """Log external generations to evaluation runs, safely.

    Start with `evrun demo`: it needs no key, no network and no port.

    Where a command asks for a database, --database takes a path or a URL. If it is left out, the
    environment variable EVRUN_LOCAL (a path) or EVRUN_BASE_URL (the address of a server) is used;
    set only one of them.
    """


app.add_command(demo)
app.add_command(serve)
app.add_command(keys)
app.add_command(db)
app.add_command(export)
app.add_command(import_)
app.add_command(doctor)
