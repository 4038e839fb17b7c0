"""`evrun keys`: who may use your server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.text import Text

from evrun.cli.database import existing, opened
from evrun.cli.group import Group
from evrun.cli.output import Output, narrow_table
from evrun.cli.quantities import DurationType
from evrun.cli.target import database_option, database_url

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from evrun.server.store.api_keys import KeyScope

_LOST_KEY = (
    "If `evrun keys list` shows the new key, revoke it: it was not printed. Then create another."
)

# As in `evrun.server.store.api_keys`, which needs the `server` extra.
SCOPES = ("read", "write", "admin")


_DATE = 10  # characters


@click.group(cls=Group)
def keys() -> None:
    """Create, list and revoke API keys. Only a hash of a key is stored."""


@keys.command
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="admin",
    show_default=True,
    help="read allows reading, write also creating and changing, admin also deleting.",
)
@click.option(
    "--expires",
    type=DurationType(),
    metavar="DURATION",
    help="How long the key is valid: 12h, 30d, 52w. Without it, the key does not expire.",
)
@database_option()
def create(name: str, scope: KeyScope, expires: timedelta | None, database: str | None) -> None:
    """Create a key called NAME and print it: once, alone on its line.

    A missing database is created.
    """
    with opened(database_url(database), in_doubt=_LOST_KEY) as store:
        from evrun.server.errors import ConflictError  # noqa: PLC0415
        from evrun.server.store.api_keys import create_key  # noqa: PLC0415 - an optional extra

        try:
            key = create_key(store, name, scope=scope, expires_in=expires)
        except ConflictError as error:
            raise click.UsageError(
                f"{error} No key was printed, because a key is shown only once: a variable that "
                "takes the output of this command is empty now."
            ) from error
    click.echo(f"New key {name}. It is shown only once; keep it as EVRUN_API_KEY:", err=True)
    click.echo(key)


@keys.command("list")
@database_option()
def list_(database: str | None) -> None:
    """List all keys, also revoked and expired ones."""
    with existing(database_url(database)) as store:
        from evrun.server.store.api_keys import list_keys  # noqa: PLC0415 - an optional extra

        found = list_keys(store)
    table = narrow_table()
    table.add_column("name", overflow="fold")
    table.add_column("begins with", no_wrap=True)
    table.add_column("scope", no_wrap=True)
    for header, instants in (
        ("created", [key.created_at for key in found]),
        ("expires", [key.expires_at for key in found]),
        ("revoked", [key.revoked_at for key in found]),
    ):
        # On a narrow screen the name is folded, and a date is not.
        table.add_column(header, overflow="fold", min_width=_DATE if any(instants) else None)
    for key in found:
        times = (key.created_at, key.expires_at, key.revoked_at)
        table.add_row(Text(key.label), key.hint, key.scope, *map(_shown, times))
    Output().print(table)


def _shown(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


@keys.command
@click.argument("name")
@database_option()
def revoke(name: str, database: str | None) -> None:
    """Revoke the key with this NAME or id. Requests with it get 401 from now on."""
    in_doubt = "`evrun keys list` shows whether it is revoked."
    with existing(database_url(database), in_doubt=in_doubt) as store:
        from evrun.server.store.api_keys import (  # noqa: PLC0415 - an optional extra
            printable,
            revoke_key,
        )

        revoke_key(store, name)
        click.echo(f"Revoked {printable(name)}.", err=True)
