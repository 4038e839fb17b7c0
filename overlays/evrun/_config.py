"""Settings of a client: where they come from, and what makes them unusable.

Environment variables are read here, when a client is made, and nowhere else.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from evrun.errors import ConfigurationError

DEFAULT_BASE_URL: Final = "https://api.humanloop.com/v4"
"""The contract's server; a rule test holds it against `openapi.yaml`."""

EMBEDDED_HOST: Final = "evrun.local"
"""Names the embedded server in addresses and messages; nothing is ever looked up."""

DEFAULT_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""Seconds: 5 to connect; 60 for each read and write, and to wait for a free connection."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Secret(str):
    """A key that does not show itself: `repr` masks it, so that no traceback or log prints it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{self[:4]}…'"


@frozen(kw_only=True)
class Config:
    """What a client needs in order to send a request."""

    base_url: str
    api_key: Secret
    timeout: httpx.Timeout = field(default=DEFAULT_TIMEOUT)


def resolve(
    *,
    api_key: str | None,
    base_url: str | None,
    timeout: float | httpx.Timeout | None,
) -> Config:
    """Return the settings; what is None comes from the environment. Raises `ConfigurationError`."""
    url = _base_url(base_url or os.environ.get("EVRUN_BASE_URL") or DEFAULT_BASE_URL)
    return Config(
        base_url=url,
        api_key=_api_key(api_key, urlsplit(url).hostname or ""),
        timeout=_timeout(timeout),
    )


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_readable = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_readable:
        raise ConfigurationError(
            f"base_url {url!r} is no http(s) address. "
            "Expected one such as http://127.0.0.1:8000/v4 (base_url=… or EVRUN_BASE_URL)."
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "base_url carries a user name or password. Pass the key as api_key=… instead."
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"base_url {url!r} has a query or fragment; leave it out.")
    return url.rstrip("/")


def _api_key(given: str | None, host: str) -> Secret:
    key = given if given is not None else os.environ.get("EVRUN_API_KEY")
    if key is None and _may_have_the_vendors_key(host):
        key = os.environ.get("HUMANLOOP_API_KEY")
    if key is None:
        hint = ""
        if "HUMANLOOP_API_KEY" in os.environ:
            hint = f" HUMANLOOP_API_KEY is set, but it is never sent to {host}."
        raise ConfigurationError(
            "No API key. Pass api_key=… or set EVRUN_API_KEY; "
            f"`evrun keys create NAME` makes one for a server of your own.{hint}"
        )
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            "The API key is empty, or has characters that no HTTP header can carry "
            "(white space, a newline, non-ASCII). Was it pasted whole?"
        )
    return Secret(key)


def _may_have_the_vendors_key(host: str) -> bool:
    return host in _LOOPBACK or host == "humanloop.com" or host.endswith(".humanloop.com")


def _timeout(timeout: float | httpx.Timeout | None) -> httpx.Timeout:
    if timeout is None:
        return DEFAULT_TIMEOUT
    if isinstance(timeout, httpx.Timeout):
        return timeout
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(
            f"timeout={timeout!r} is no positive number of seconds (or an httpx.Timeout)."
        )
    # Never wait longer for a connection than the whole was meant to take.
    return httpx.Timeout(timeout, connect=min(timeout, DEFAULT_TIMEOUT.connect or timeout))
