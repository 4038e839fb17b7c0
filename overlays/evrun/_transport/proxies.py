"""The proxy on the way to a server, from `proxy=` or from the environment. Nothing here connects.

It is found here for all transports: httpx and pyreqwest follow the same variables by different
rules, and pyreqwest ignores what it cannot read.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx
from attrs import frozen

from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

VIA: Final = "evrun_via"
"""Extension of a request that goes through a proxy: a `Via`."""

ARGUMENT: Final = "proxy=…"
"""The source of a proxy that was passed."""

_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_LAST_PORT: Final = 65535
_PORTS: Final = {"http": 80, "https": 443}
_BRACKETED: Final = re.compile(r"\[([^\]]*)\](?::([0-9]+))?")


@frozen(eq=False)
class Via:
    """A proxy, and where it was set."""

    proxy: httpx.Proxy
    source: str
    """The variable, or `proxy=…`."""

    def check_httpx(self) -> None:
        """Raise `ConfigurationError` if httpx lacks a package for it."""
        if self.proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ConfigurationError(
                f"{self.source}: the SOCKS proxy {self.proxy.url} needs the package socksio. "
                "Install it with: pip install 'httpx[socks]'. Or pass transport=\"fast\", which "
                "needs no package for that."
            )

    def unreached(self, host: str) -> str:
        """Return what to look at if there is no connection towards `host`."""
        said = f"The request goes through the proxy {self.proxy.url} of {self.source}. Is it there?"
        return f"{said}{self._without(host)}"

    def answered(self, host: str) -> str:
        """Return what to look at if the answer may be the proxy's own."""
        said = f"The proxy {self.proxy.url} of {self.source} may have answered this itself."
        return f"{said}{self._without(host)}"

    def _without(self, host: str) -> str:
        if self.source == ARGUMENT:
            return ""
        return f" To reach {host} without a proxy, add it to NO_PROXY."


def from_environment(url: str) -> Via | None:
    """Return the proxy that the environment sets for `url`. Raises `ConfigurationError`."""
    parsed = httpx.URL(url)
    found = getproxies()
    for kind in (parsed.scheme, "all"):
        if value := found.get(kind):
            if _is_excepted(parsed, found.get("no", "")):
                return None
            source = _variable(f"{kind}_proxy")
            return Via(read(value, source, scheme="http"), source)
    return None


def read(value: str | httpx.Proxy, source: str, *, scheme: str | None = None) -> httpx.Proxy:
    """Return the proxy that `value` names. `scheme` is that of an address without one.

    Raises `ConfigurationError`, which names `source` and hides the password.
    """
    if isinstance(value, httpx.Proxy):
        return value
    if not isinstance(value, str):
        raise ConfigurationError(f"{source}: expected the address of a proxy, as a str.")
    try:
        proxy = httpx.Proxy(f"{scheme}://{value}" if scheme and "://" not in value else value)
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or not _can_be_reached(proxy.url) or re.search(r"\s", value):
        raise ConfigurationError(
            f"{source}={_without_password(value)} is not the address of a proxy. Expected one such "
            f"as http://host:3128 or socks5://host:1080.{_hint(value, scheme)}"
        )
    return proxy


def _can_be_reached(url: httpx.URL) -> bool:
    return bool(url.host) and (url.port is None or 1 <= url.port <= _LAST_PORT)


def _without_password(value: str) -> str:
    before, at, after = value.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return (
        short_repr(f"{scheme}{separator}…@{after}" if separator else f"…@{after}")
        if at
        else short_repr(value)
    )


def _hint(value: str, default: str | None) -> str:
    scheme, separator, _ = value.partition("://")
    if not separator and default is None:
        return " Begin it with http://."
    if separator and scheme not in _SCHEMES:
        return f" Its scheme {scheme!r} is not one of {', '.join(_SCHEMES)}."
    if "@" in value:
        return " Write special characters of the user or password as %40 (@), %3A (:) or %2F (/)."
    return ""


def _variable(name: str) -> str:
    """Return the variable that sets a proxy, as it is spelled."""
    spellings = (name, name.upper())  # the first counts if both are there
    return next((each for each in spellings if os.environ.get(each)), "the system's settings")


def _is_excepted(url: httpx.URL, exceptions: str) -> bool:
    """Return whether NO_PROXY holds the host of `url`: as a name, an address or in a network."""
    port = url.port or _PORTS.get(url.scheme)
    try:
        address = ip_address(url.host)
    except ValueError:
        address = None
    for entry in filter(None, map(str.strip, exceptions.split(","))):
        bracketed = _BRACKETED.fullmatch(entry)
        if bracketed and bracketed[2] and int(bracketed[2]) != port:
            continue
        try:
            network = ip_network(bracketed[1] if bracketed else entry, strict=False)
        except ValueError:
            if not bracketed and "/" not in entry:
                continue  # a name
            raise ConfigurationError(
                f"{_variable('no_proxy')} has the entry {entry!r}. Expected a host such as "
                "example.com, an address such as ::1, or a network such as 10.0.0.0/8."
            ) from None
        if address is not None and address in network:
            return True
    return bool(proxy_bypass(f"{url.host}:{port}"))
