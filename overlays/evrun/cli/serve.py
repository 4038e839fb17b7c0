"""`evrun serve`: the server on a port."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

import click

from evrun.cli.database import database_option, opened
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from evrun.server.database import Database

_LOOPBACK = ("127.", "::1", "localhost")


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="How many processes answer; more than one needs PostgreSQL.",
)
@database_option
def serve(host: str, port: int, workers: int, database: str) -> None:
    """Serve the v4 Evaluations API over HTTP.

    Clients need a key: `evrun keys create NAME` makes one. The server listens on this machine only,
    unless --host says otherwise; it speaks plain HTTP, so put TLS in front of it then.
    """
    with opened(database) as store, _listen(host, port) as listener:
        if workers > 1 and not store.many_writers:
            raise click.UsageError(
                f"--workers {workers} needs PostgreSQL (--database postgresql+psycopg://…): SQLite "
                "has one writer at a time, so that more processes would only wait for each other."
            )
        _announce(store, database, host, listener.getsockname()[1])
        store.close()  # whoever answers opens it
        _run(database, listener, workers)


def _run(database: str, listener: socket.socket, workers: int) -> None:
    import uvicorn  # noqa: PLC0415 - an optional extra

    config = uvicorn.Config(
        partial(_app, database), factory=True, server_header=False, workers=workers
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
        return
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415

    Multiprocess(config, [listener]).run()


def _app(database: str) -> Starlette:
    """Return the application; each worker makes its own."""
    from evrun.server.app import create_app  # noqa: PLC0415 - an optional extra
    from evrun.server.database import Database  # noqa: PLC0415

    return create_app(Database(database))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # `create_server` adds the address in brackets, which stands in front already.
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {reason}. "
            "Choose another with --port, or let --port 0 take a free one."
        ) from error
    # An answer leaves in two writes. Nagle's algorithm would hold the second until the client
    # acknowledges the first, which it delays: 44 ms a request, measured, instead of 2. asyncio
    # turns it off only for sockets that it makes itself; connections inherit this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _announce(store: Database, database: str, host: str, port: int) -> None:
    from sqlalchemy import make_url  # noqa: PLC0415 - an optional extra

    from evrun.server.authentication import list_keys  # noqa: PLC0415

    shown = make_url(database).render_as_string()  # without the password
    address = f"[{host}]" if ":" in host else host
    click.echo(f"evrun serves {shown}. Clients find it with", err=True)
    click.echo(f"  export EVRUN_BASE_URL=http://{address}:{port}/v4", err=True)
    if not any(key.in_use for key in list_keys(store)):
        click.echo(
            f"It has no key yet; make one with `evrun keys create NAME --database {shown}`.",
            err=True,
        )
    if not host.startswith(_LOOPBACK):
        click.echo("Other machines can reach it, and keys travel in plain HTTP.", err=True)
