"""The address of an API: what can be one, and which hosts get no key. No I/O."""

from __future__ import annotations

import re
from typing import Final

import httpx

from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

WAYS_TO_A_SERVER: Final = (
    "Pass base_url=… or set EVRUN_BASE_URL, such as http://127.0.0.1:8000/v4, where `evrun serve` "
    'listens. Or use Evrun.local("evals.db"), which needs no address.'
)

PLATFORM_ENDED: Final = (
    "the vendor's hosted platform ended on 8 September 2025, and its data was deleted"
)

_EXAMPLE: Final = "Expected an address such as http://127.0.0.1:8000/v4"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
_LONGEST_NAME: Final = 253  # characters, the dots included (RFC 1035, section 2.3.4)
_LONGEST: Final = 2048  # characters: paths and queries need room below httpx's 65,536
_LAST_PORT: Final = 65535


def checked(url: object, name: str) -> str:
    """Return `url` without slashes at its end. Raises `ConfigurationError`.

    `name` is the argument or the variable that it comes from.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{name}={short_repr(url)} is not a str. {_EXAMPLE}.")
    if "@" in url:  # anywhere: an unescaped slash in a password ends what a parser takes for it
        raise ConfigurationError(
            f"{name} carries a user name or password (it has an '@'). Pass the key as api_key=…."
        )
    before, mark = re.fullmatch(r"([^?#]*)([?#]?).*", url, re.DOTALL).groups()  # type: ignore[union-attr]
    if mark:
        raise ConfigurationError(
            f"{name}={short_repr(before)} is followed by a query or fragment ({mark!r}). "
            "Leave it out."
        )
    if not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"{name}={short_repr(url)} has white space or a control character in it. Remove it."
        )
    if problem := _problem(url):
        raise ConfigurationError(f"{name}={short_repr(url)} {problem}. {_EXAMPLE}.")
    if _is_the_vendors(httpx.URL(url).host):
        raise ConfigurationError(
            f"{name}={short_repr(url)}: {PLATFORM_ENDED}. Nothing is sent there. {WAYS_TO_A_SERVER}"
        )
    return url.rstrip("/")


def is_this_machine(url: str) -> bool:
    """Whether what is sent to `url` stays on this machine."""
    return httpx.URL(url).host in LOOPBACK


def _problem(url: str) -> str | None:
    """Return why no request could be sent to `url`."""
    if len(url) > _LONGEST:
        return f"is longer than {_LONGEST:,} characters"
    try:
        parsed = httpx.URL(url)
        host, port = parsed.raw_host.decode("ascii"), parsed.port
        _ = parsed.host  # httpx decodes `xn--…` late, when it sends
    except (httpx.InvalidURL, ValueError) as error:
        return f"is not an http(s) address ({error})"
    if parsed.scheme not in {"http", "https"} or not host:
        return "is not an http(s) address"
    if not _is_a_name(host.removesuffix(".")) and ":" not in host:
        return (
            "has a host that is not a name: parts between dots are 1 to 63 letters, digits, '-' or "
            f"'_', and all of it is at most {_LONGEST_NAME} characters"
        )
    if port is not None and not 1 <= port <= _LAST_PORT:
        return f"has a port that does not exist: they are 1 to {_LAST_PORT}"
    return None


def _is_a_name(host: str) -> bool:
    return len(host) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, host.split(".")))


def _is_the_vendors(host: str) -> bool:
    return f".{host.removesuffix('.')}".endswith(".humanloop.com")
