"""`evrun keys`: who may use a server of yours."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evrun.cli.database import database_option, existing, opened

if TYPE_CHECKING:
    from datetime import datetime

    from evrun.server.authentication import KeyScope

_LOST_KEY = (
    "If `evrun keys list` shows the new key, revoke it, as nobody was told it. Then create another."
)

# As in `evrun.server.authentication`, which an installation without the server lacks.
SCOPES = ("read", "write", "admin")


class Duration(click.ParamType[timedelta]):
    """A number and a unit: `30d`."""

    name = "duration"
    units = {"h": "hours", "d": "days", "w": "weeks"}  # noqa: RUF012 - it is never changed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time that a text says."""
        if isinstance(value, timedelta):
            return value
        said = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", value)
        if said is None:
            self.fail(f"{value!r} is no duration. Write 12h, 30d or 52w.", param, ctx)
        return timedelta(**{self.units[said[2]]: int(said[1])})


@click.group
def keys() -> None:
    """Create, list and revoke API keys. Only a hash of a key is stored."""


@keys.command
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="admin",
    show_default=True,
    help="What it allows: read to look, write to create and change too, admin to delete as well.",
)
@click.option(
    "--expires",
    type=Duration(),
    metavar="DURATION",
    help="How long it is good, as in 12h, 30d or 52w; for ever without.",
)
@database_option
def create(name: str, scope: KeyScope, expires: timedelta | None, database: str) -> None:
    """Create a key called NAME and print it: once, alone on its line."""
    with opened(database, in_doubt=_LOST_KEY) as store:
        from evrun.server.authentication import create_key  # noqa: PLC0415 - an optional extra

        key = create_key(store, name, scope=scope, expires_in=expires)
    click.echo(f"A new key, {name}. It is shown this once; keep it as EVRUN_API_KEY:", err=True)
    click.echo(key)


@keys.command("list")
@database_option
def list_(database: str) -> None:
    """List the keys, revoked and expired ones too."""
    with existing(database) as store:
        from evrun.server.authentication import list_keys  # noqa: PLC0415 - an optional extra

        found = list_keys(store)
    table = Table("name", "begins with", "scope", "created", "expires", "revoked")
    for key in found:
        times = (key.created_at, key.expires_at, key.revoked_at)
        table.add_row(Text(key.label), key.hint, key.scope, *map(_shown, times))
    Console().print(table)


def _shown(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


@keys.command
@click.argument("name")
@database_option
def revoke(name: str, database: str) -> None:
    """Revoke the key with this NAME or id; requests with it get 401 from now on."""
    in_doubt = "`evrun keys list` shows whether it is revoked."
    with existing(database, in_doubt=in_doubt) as store:
        from evrun.server.authentication import (  # noqa: PLC0415 - an optional extra
            printable,
            revoke_key,
        )

        revoke_key(store, name)
        click.echo(f"Revoked {printable(name)}.", err=True)
