"""The looks that `evrun doctor` takes: a connection, a request without the key, one with it.

What they mean is for `diagnosis` to say.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from evrun import Evrun
from evrun.cli.diagnosis import Exchange, Reach
from evrun.errors import EvrunError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODY_LIMIT = 64 * 1024  # bytes; what evrun's servers say of themselves is 200
_PORTS = {"http": 80, "https": 443}


def connect(url: str, timeout: float) -> Reach:
    """Connect to where a client would: the server of `url`, or the proxy that is set for it."""
    parts = urlsplit(url)
    variable, proxy = _proxy(parts.scheme, parts.hostname or "")
    first = urlsplit(proxy) if proxy else parts
    host, port = first.hostname or "", first.port or _PORTS.get(first.scheme, 1080)
    try:
        with socket.create_connection((host, port), timeout) as connection:
            address = str(connection.getpeername()[0])
    except (OSError, UnicodeError) as error:
        return Reach(host=host, port=port, proxy=variable, error=error)
    return Reach(host=host, port=port, proxy=variable, address=address)


def _proxy(scheme: str, host: str) -> tuple[str | None, str | None]:
    """Return the variable that sets a proxy, and the proxy's address."""
    if proxy_bypass(host):
        return None, None
    found = getproxies()
    for name in (scheme, "all"):
        if name in found:
            proxy = found[name]
            variable = f"{name}_proxy"
            shown = variable if variable in os.environ else variable.upper()
            return shown, proxy if "://" in proxy else f"http://{proxy}"
    return None, None


def ask_health(root: str, timeout: float) -> Exchange:
    """Ask a server what it is, without the key."""
    url = f"{root}/healthz"
    seen: dict[str, Any] = {}
    try:
        with (
            httpx.Client(timeout=timeout) as client,
            client.stream("GET", url, follow_redirects=False) as response,
        ):
            seen = {**_tls(response), "headers": dict(response.headers)}
            body = _beginning(response, time.monotonic() + timeout)
            return Exchange(url=url, status=response.status_code, body=body, **seen)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Exchange(url=url, error=error, **seen)
    except (OSError, ImportError, ValueError) as error:
        # The client cannot be made: of SSL_CERT_FILE, or of a proxy that needs a library or that
        # no library knows.
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
    """Ask for something cheap with the key, as a program would; return what that raised."""
    try:
        with Evrun(api_key=key, base_url=url, timeout=timeout, max_retries=0) as client:
            client.projects.list(size=1)
    except EvrunError as error:
        return error
    return None
