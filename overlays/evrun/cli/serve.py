"""`evrun serve`: the server on a port."""

from __future__ import annotations

import errno
import ipaddress
import shlex
import socket
import ssl
from typing import TYPE_CHECKING, Any

import click

from evrun._base.extras import require
from evrun.cli.database import opened, spelled
from evrun.cli.quantities import RateType, SizeType
from evrun.cli.target import database_option, database_url
from evrun.errors import ConfigurationError
from evrun_interrupt import exit_on_interrupt

if TYPE_CHECKING:
    from evrun.server.api.faults import Schedule
    from evrun.server.db.database import Database
    from evrun.server.hosting.serve import Settings

_NO_HOST = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}  # another port would not help


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
    help="The number of processes; more than one needs PostgreSQL.",
)
@click.option(
    "--faults",
    metavar="FILE",
    help="Fail requests on purpose, as this TOML file says: for tests only.",
)
@database_option(what="The database to serve; a missing one is created")
@click.option(
    "--ssl-certfile",
    type=click.Path(exists=True, dir_okay=False),
    help="A certificate with its chain, in PEM: the server then speaks HTTPS.",
)
@click.option(
    "--ssl-keyfile",
    type=click.Path(exists=True, dir_okay=False),
    help="The certificate's private key, in PEM, if it is not in the same file.",
)
@click.option(
    "--body-limit",
    type=SizeType(),
    default="10MiB",
    show_default=True,
    help="The longest body, both as sent and after decompression.",
)
@click.option(
    "--client-timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout for the head of a request, and for pauses within a body.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="The number of open connections; further connections get 503.",
)
@click.option(
    "--rate-limit",
    type=RateType(),
    metavar="RATE",
    help="Requests of each key, such as 100/s or 600/m; further requests get 429.",
)
@click.option(
    "--access-log",
    type=click.Choice(("json", "text", "off")),
    default="text",
    show_default=True,
    help="One line on standard output for each request, without payloads or keys.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for requests in progress when the server stops.",
)
def serve(host: str, port: int, database: str | None, **options: Any) -> None:
    """Serve the v4 Evaluations API over HTTP.

    Clients need a key: `evrun keys create NAME` makes one. By default the server listens only on
    this machine. If you change --host, give it a certificate, or put a proxy with TLS in front.

    SIGTERM or Ctrl-C stops it: requests in progress finish, new requests get 503, and the exit
    status is 0. Before the server serves, Ctrl-C ends it at once with status 130.
    """
    exit_on_interrupt()  # until there is a server, which drains
    if options["ssl_keyfile"] and not options["ssl_certfile"]:
        raise click.UsageError("--ssl-keyfile needs --ssl-certfile.")
    schedule = None if options["faults"] is None else _read(options["faults"])
    url = database_url(database)
    with opened(url) as store, _listen(host, port) as listener:
        from evrun.server.hosting import serve as hosting  # noqa: PLC0415 - an optional extra

        _check_workers(options["workers"], store, schedule)
        settings = _settings(options, schedule)
        _announce(store, url, host, listener.getsockname(), tls=settings.tls)
        if schedule is not None:
            _warn(options["faults"], schedule)
        try:
            if settings.workers == 1:
                hosting.serve(store, listener, settings)
            else:
                store.close()  # each worker opens it
                hosting.serve_with_workers(url, listener, settings)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"The certificate or its key is unusable: {error.reason or error}. "
                "Both must be PEM, and belong together."
            ) from error


def _check_workers(workers: int, store: Database, schedule: Schedule | None) -> None:
    if workers > 1 and not store.many_writers:
        raise click.UsageError(
            f"--workers {workers} needs PostgreSQL (--database postgresql+psycopg://…): SQLite "
            "has one writer at a time, so more processes would only wait for each other."
        )
    if workers > 1 and schedule is not None:
        raise click.UsageError(
            "--faults counts requests, which several workers cannot do together: leave "
            "--workers out."
        )


def _settings(options: dict[str, Any], schedule: Schedule | None) -> Settings:
    from evrun.server.hosting.protocol import ConnectionLimits  # noqa: PLC0415 - an optional extra
    from evrun.server.hosting.serve import Settings  # noqa: PLC0415

    seconds = options["client_timeout"]
    return Settings(
        workers=options["workers"],
        limits=ConnectionLimits(
            max_connections=options["max_connections"],
            head_timeout=seconds,
            body_timeout=seconds,
            write_timeout=seconds,
        ),
        body_limit=options["body_limit"],
        rate=options["rate_limit"],
        access_log=options["access_log"],
        drain_timeout=options["drain_timeout"],
        certificate=options["ssl_certfile"],
        private_key=options["ssl_keyfile"],
        faults=schedule,
    )


def _read(faults: str) -> Schedule:
    require("A schedule of faults", "server")
    from evrun.server.api.faults import (  # noqa: PLC0415 - an optional extra
        InvalidScheduleError,
        read_schedule,
    )

    try:
        return read_schedule(faults)
    except InvalidScheduleError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from error


def _warn(faults: str | None, schedule: Schedule) -> None:
    click.echo(f"WARNING: requests fail on purpose, as {faults} says. For tests only.", err=True)
    for number, rule in enumerate(schedule.rules, 1):
        click.echo(f"  fault {number}: {rule}", err=True)


def _listen(host: str, port: int) -> socket.socket:
    from evrun.server.hosting.serve import listen  # noqa: PLC0415 - an optional extra

    try:
        return listen(host, port)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(_unable(host, port, error)) from error


def _unable(host: str, port: int, error: OSError | UnicodeError) -> str:
    """Return why the server cannot listen, and whether to change the host or the port."""
    if isinstance(error, UnicodeError):  # Python encodes a name before the lookup
        reason = "this is not a host name"
    else:
        # `create_server` adds the address in brackets; the message begins with it already.
        reason = (error.strerror or str(error)).partition(" (")[0]
        if not isinstance(error, socket.gaierror) and error.errno not in _NO_HOST:
            return (
                f"Cannot listen on {host}, port {port}: {reason}. "
                "Choose another with --port; --port 0 takes a free one."
            )
    return (
        f"Cannot listen on {host}: {reason}. Give --host an address of this machine: 127.0.0.1 for "
        "itself only, 0.0.0.0 for all its addresses."
    )


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _announce(store: Database, url: str, host: str, bound: tuple[Any, ...], *, tls: bool) -> None:
    from evrun.server.store.api_keys import list_keys  # noqa: PLC0415 - an optional extra

    ip, port = bound[:2]
    shown = spelled(url)
    address = f"[{host}]" if ":" in host else host
    click.echo(f"evrun serves {shown}. Clients find it with", err=True)
    scheme = "https" if tls else "http"
    click.echo(f"  export EVRUN_BASE_URL={scheme}://{address}:{port}/v4", err=True)
    if not any(key.in_use for key in list_keys(store)):
        click.echo(
            "It has no key yet; make one with "
            f"`evrun keys create NAME --database {shlex.quote(shown)}`.",
            err=True,
        )
    if not tls and not _is_loopback(ip):
        click.echo(
            "WARNING: other machines can reach it, and keys travel in plain HTTP. "
            "Use --ssl-certfile, or a proxy with TLS in front.",
            err=True,
        )
