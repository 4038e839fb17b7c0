"""The I/O of `evrun doctor`: a connection, a request without the key, and one with the key.

`diagnosis` interprets the results.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import httpx

from evrun import Evrun
from evrun._transport.connection_settings import ConnectionSettings
from evrun._transport.http_clients import new_client
from evrun._transport.proxies import from_environment
from evrun.cli.diagnosis import Exchange, Reach
from evrun.errors import ConfigurationError, EvrunError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODY_LIMIT = 64 * 1024  # bytes; evrun's servers send 200
_PORTS = {"http": 80, "https": 443}


def connect(url: str, timeout: float) -> Reach:
    """Connect as a client would: to the server of `url`, or to its proxy.

    Raises `ConfigurationError` for a proxy that clients refuse.
    """
    via = from_environment(url)
    if via is not None:
        via.check_httpx()
    first = httpx.URL(url) if via is None else via.proxy.url
    host, port = first.host, first.port or _PORTS.get(first.scheme, 1080)
    proxy = None if via is None else via.source
    try:
        with socket.create_connection((host, port), timeout) as connection:
            address = str(connection.getpeername()[0])
    except (OSError, UnicodeError) as error:
        return Reach(host=host, port=port, proxy=proxy, error=error)
    return Reach(host=host, port=port, proxy=proxy, address=address)


def ask_health(root: str, timeout: float) -> Exchange:
    """Ask a server for its health, without the key."""
    url = f"{root}/healthz"
    seen: dict[str, Any] = {}
    try:
        with (
            new_client(ConnectionSettings().towards(url)) as client,
            client.stream("GET", url, follow_redirects=False, timeout=timeout) as response,
        ):
            seen = {**_tls(response), "headers": dict(response.headers)}
            body = _beginning(response, time.monotonic() + timeout)
            return Exchange(url=url, status=response.status_code, body=body, **seen)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Exchange(url=url, error=error, **seen)
    except ConfigurationError as error:  # of SSL_CERT_FILE
        return Exchange(url=url, error=error)


def _beginning(response: httpx.Response, deadline: float) -> bytes:
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _BODY_LIMIT or time.monotonic() > deadline:
            break
    return body


def _tls(response: httpx.Response) -> Mapping[str, Any]:
    ssl_object = response.extensions["network_stream"].get_extra_info("ssl_object")
    if ssl_object is None:
        return {}
    return {"tls": ssl_object.version(), "certificate": ssl_object.getpeercert() or {}}


def list_a_project(url: str, key: str, timeout: float) -> EvrunError | None:
    """List one project with the key, as a program would; return the error, if any."""
    try:
        with Evrun(api_key=key, base_url=url, timeout=timeout, max_retries=0) as client:
            client.projects.list(size=1)
    except EvrunError as error:
        return error
    return None
