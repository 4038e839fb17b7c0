"""`evrun keys`: who may use a server of yours."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from evrun.cli.database import database_option, opened


@click.group
def keys() -> None:
    """Create, list and revoke API keys. Only a hash of a key is stored."""


@keys.command
@click.argument("name")
@database_option
def create(name: str, database: str) -> None:
    """Create a key called NAME and print it: once, alone on its line."""
    with opened(database) as store:
        from evrun.server.authentication import create_key  # noqa: PLC0415 - an optional extra

        key = create_key(store, name)
    click.echo(f"A new key, {name}. It is shown this once; keep it as EVRUN_API_KEY:", err=True)
    click.echo(key)


@keys.command("list")
@database_option
def list_(database: str) -> None:
    """List the keys, revoked ones too."""
    with opened(database) as store:
        from evrun.server.authentication import list_keys  # noqa: PLC0415 - an optional extra

        found = list_keys(store)
    table = Table("name", "begins with", "created", "revoked")
    for key in found:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M} UTC"
        table.add_row(key.name, key.hint, f"{key.created_at:%Y-%m-%d %H:%M} UTC", revoked)
    Console().print(table)


@keys.command
@click.argument("name")
@database_option
def revoke(name: str, database: str) -> None:
    """Revoke the key with this NAME or id; requests with it get 401 from now on."""
    with opened(database) as store:
        from evrun.server.authentication import revoke_key  # noqa: PLC0415 - an optional extra

        revoke_key(store, name)
    click.echo(f"Revoked {name}.", err=True)
