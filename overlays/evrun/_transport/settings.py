"""Settings of a client: where they come from, and what makes them unusable.

Environment variables are read when a client is made: here, in `logging`, `proxies` and `tls`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import httpx
from attrs import evolve, field, frozen

from evrun._transport import address
from evrun._transport.json_data import plain
from evrun._transport.logging import configure
from evrun._transport.retry import OnUnknown, RetryPolicy
from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

Query: TypeAlias = tuple[tuple[str, str], ...]

DEFAULT_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""Seconds: 5 to connect; 60 for each read and write, and to wait for a free connection."""

LONGEST: Final = 2_000_000.0
"""Seconds. Sockets take no time limit over 2,147,483 s."""

_LONGEST_PATH: Final = 4096  # bytes, as Linux has it

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""A token of RFC 9110, section 5.6.2."""

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that tell where a body ends: a wrong one breaks the connection."""


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
    url = _base_url(base_url)
    return Config(
        base_url=url,
        api_key=_api_key(api_key, url),
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
        retry = evolve(retry, max_retries=_count(max_retries, "max_retries"))
    if on_unknown is not None:
        if not isinstance(on_unknown, str) or on_unknown not in {"retry", "raise"}:
            raise ConfigurationError(
                f'on_unknown={short_repr(on_unknown)}: expected "retry" or "raise".'
            )
        retry = evolve(retry, on_unknown=on_unknown)
    return evolve(
        options,
        retry=retry,
        timeout=options.timeout if timeout is None else _timeout(timeout),
        deadline=options.deadline if deadline is None else _seconds(deadline, "deadline"),
        headers={**options.headers, **_headers(_mapping(extra_headers, "extra_headers"))},
        query=(*options.query, *_query(_mapping(extra_query, "extra_query"))),
        body={**options.body, **plain(_mapping(extra_body, "extra_body"), "extra_body")},
    )


def is_path(value: object) -> bool:
    """Whether the system would look for `value`: a str, or a PathLike of one."""
    try:
        path = os.fspath(value)  # type: ignore[call-overload]
        size = len(os.fsencode(path))
    except (TypeError, UnicodeEncodeError):  # half a surrogate pair
        return False
    return isinstance(path, str) and "\0" not in path and 0 < size <= _LONGEST_PATH


def _base_url(given: str | None) -> str:
    if given is not None:
        return address.checked(given, "base_url")
    if url := os.environ.get("EVRUN_BASE_URL"):
        return address.checked(url, "EVRUN_BASE_URL")
    raise ConfigurationError(
        f"No address. {address.WAYS_TO_A_SERVER} There is no default address: "
        f"{address.PLATFORM_ENDED}."
    )


def _api_key(given: str | None, url: str) -> Secret:
    key, name = given, "api_key"
    if key is None:
        key, name = os.environ.get("EVRUN_API_KEY"), "EVRUN_API_KEY"
    if key is None and address.is_this_machine(url):
        # Programs and tests that were written for v4 keep it there. It is another company's key:
        # no other machine gets it.
        key, name = os.environ.get("HUMANLOOP_API_KEY"), "HUMANLOOP_API_KEY"
    if key is None:
        hint = ""
        if "HUMANLOOP_API_KEY" in os.environ:
            hint = " HUMANLOOP_API_KEY is set, but it is sent to this machine only."
        raise ConfigurationError(
            "No API key. Pass api_key=… or set EVRUN_API_KEY; "
            f"`evrun keys create NAME` makes one for a server of your own.{hint}"
        )
    if not isinstance(key, str):  # the value is not shown: it may be a key all the same
        raise ConfigurationError(f"{name} is of type {type(key).__name__}. Pass a str.")
    if not key:
        raise ConfigurationError(
            f"{name} is empty. Give it a key; `evrun keys create NAME` makes one."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"{name} has characters that no HTTP header can carry "
            "(white space, a newline, non-ASCII). Was it pasted whole?"
        )
    if "://" in key:
        raise ConfigurationError(f"{name} is an address. Were the key and the address swapped?")
    return Secret(key)


def _timeout(timeout: float | httpx.Timeout) -> httpx.Timeout:
    if isinstance(timeout, httpx.Timeout):
        for kind, limit in timeout.as_dict().items():
            if limit is not None:
                _seconds(limit, f"timeout: {kind}", "; or None, which is no limit")
        return timeout
    seconds = _seconds(timeout, "timeout", "; or an httpx.Timeout, in which None is no limit")
    # Never wait longer for a connection than the whole was meant to take.
    return httpx.Timeout(seconds, connect=min(seconds, DEFAULT_TIMEOUT.connect or seconds))


def _seconds(value: object, name: str, otherwise: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise ConfigurationError(
            f"{name}={short_repr(value)}: expected a number of seconds, more than 0 and at most "
            f"{LONGEST:,.0f}{otherwise}."
        )
    return float(value)


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"{name}={short_repr(value)}: expected a whole number, 0 or more.")
    return value


def _mapping(given: object, name: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):  # the values are not shown: some may be keys
        raise ConfigurationError(f"{name} is of type {type(given).__name__}: expected a mapping.")
    for each in given:
        if not isinstance(each, str):
            raise ConfigurationError(
                f"{name}: {short_repr(each)} is not a str, as every name must be."
            )
    return given


def _headers(given: Mapping[str, Any]) -> Mapping[str, str]:
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(
                f"extra_headers: {short_repr(name)} cannot be the name of an HTTP header. "
                "Use letters, digits and '-'."
            )
        if name.lower() in _FRAMING:
            raise ConfigurationError(f"extra_headers: {name} follows from the body. Leave it out.")
        printable = isinstance(value, str) and value.isascii() and value.isprintable()
        if not printable or value != value.strip():  # the value is not shown: it may be a key
            raise ConfigurationError(
                f"extra_headers: the value of {short_repr(name)} is not one that an HTTP header "
                "can carry. Pass printable ASCII text without white space around it."
            )
    return given


def _query(given: Mapping[str, Any]) -> Query:
    """Return pairs of text: a list is one pair for each entry, a bool is written as JSON does."""
    return tuple(
        (_query_text(name, name), _query_text(name, each))
        for name, value in given.items()
        for each in (value if isinstance(value, list | tuple) else (value,))
    )


def _query_text(name: str, value: object) -> str:
    try:
        if isinstance(value, str | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            text.encode()
            return text
    except ValueError:
        pass  # half a surrogate pair, or an int of more digits than Python writes
    raise ConfigurationError(
        f"extra_query: {short_repr(name)}: {short_repr(value)} is not a text, number or bool that "
        "an address can carry."
    )
