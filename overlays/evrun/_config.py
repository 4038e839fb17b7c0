"""Settings of a client: where they come from, and what makes them unusable.

Environment variables are read here (and in `_logging`), when a client is made, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
from attrs import evolve, field, frozen

from evrun._logging import configure
from evrun._plain import plain
from evrun._retry import OnUnknown, RetryPolicy
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    Query = tuple[tuple[str, str], ...]

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
class Options:
    """How a call is made; `with_options` changes them for a view of a client."""

    timeout: httpx.Timeout = field(default=DEFAULT_TIMEOUT)
    deadline: float | None = None
    """Seconds for a whole call: attempts, waits and reading the answer."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    headers: Mapping[str, str] = field(factory=dict)
    query: Query = ()
    body: Mapping[str, Any] = field(factory=dict)
    log_payloads: bool = True


@frozen(kw_only=True)
class Config:
    """Whom a client talks to, and how."""

    base_url: str
    api_key: Secret
    options: Options


def resolve(
    *,
    api_key: str | None,
    base_url: str | None,
    timeout: float | httpx.Timeout | None = None,
    deadline: float | None = None,
    max_retries: int | None = None,
    on_unknown: OnUnknown | None = None,
) -> Config:
    """Return the settings; what is None comes from the environment. Raises `ConfigurationError`."""
    url = _base_url(base_url or os.environ.get("EVRUN_BASE_URL") or DEFAULT_BASE_URL)
    return Config(
        base_url=url,
        api_key=_api_key(api_key, urlsplit(url).hostname or ""),
        options=changed(
            Options(log_payloads=configure()),
            timeout=timeout,
            deadline=deadline,
            max_retries=max_retries,
            on_unknown=on_unknown,
        ),
    )


def changed(
    options: Options,
    *,
    timeout: float | httpx.Timeout | None = None,
    deadline: float | None = None,
    max_retries: int | None = None,
    on_unknown: OnUnknown | None = None,
    extra_headers: Mapping[str, str] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, Any] | None = None,
) -> Options:
    """Return `options` with what is not None changed. Raises `ConfigurationError`."""
    retry = options.retry
    if max_retries is not None:
        retry = evolve(retry, max_retries=_count(max_retries, "max_retries", least=0))
    if on_unknown is not None:
        if on_unknown not in {"retry", "raise"}:
            raise ConfigurationError(f'on_unknown={on_unknown!r}: expected "retry" or "raise".')
        retry = evolve(retry, on_unknown=on_unknown)
    return evolve(
        options,
        retry=retry,
        timeout=options.timeout if timeout is None else _timeout(timeout),
        deadline=options.deadline if deadline is None else _seconds(deadline, "deadline"),
        headers={**options.headers, **_headers(extra_headers or {})},
        query=(*options.query, *_query(extra_query or {})),
        body={**options.body, **_body(extra_body or {})},
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


def _timeout(timeout: float | httpx.Timeout) -> httpx.Timeout:
    if isinstance(timeout, httpx.Timeout):
        return timeout
    seconds = _seconds(timeout, "timeout", " (or an httpx.Timeout)")
    # Never wait longer for a connection than the whole was meant to take.
    return httpx.Timeout(seconds, connect=min(seconds, DEFAULT_TIMEOUT.connect or seconds))


def _seconds(value: object, name: str, otherwise: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"{name}={value!r} is no positive number of seconds{otherwise}.")
    return float(value)


def _count(value: object, name: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}={value!r} is no whole number from {least} up.")
    return value


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        for text in (name, value):
            if not isinstance(text, str) or not text.isascii() or not text.isprintable():
                raise ConfigurationError(
                    f"extra_headers: {name!r}: {value!r} is nothing that an HTTP header can carry "
                    "(printable ASCII text)."
                )
    return dict(given)


def _query(given: Mapping[str, object]) -> Query:
    """Return pairs of text: a list is one pair for each entry, a bool is written as JSON does."""
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(each, str | int | float):
                raise ConfigurationError(
                    f"extra_query: {name!r}: {each!r} is no text, number or bool."
                )
            text = str(each).lower() if isinstance(each, bool) else str(each)
            pairs.append((name, plain(text, f"extra_query[{name!r}]")))
    return tuple(pairs)


def _body(given: Mapping[str, Any]) -> dict[str, Any]:
    if not issubclass(type(given), Mapping):
        raise ConfigurationError("extra_body: expected a mapping of field names to JSON values.")
    body: dict[str, Any] = plain(given, "extra_body")
    return body
