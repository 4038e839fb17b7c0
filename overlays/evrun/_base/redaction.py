"""Redaction: requests and bodies for errors and logs, with secrets masked and long bodies cut."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from attrs import frozen

from evrun._base.headers import API_KEY, IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

BODY_LIMIT: Final = 64 * 1024
"""Bytes of a body that an error carries, of the request and of the answer."""

MASK: Final = "***"

_SECRET_WORDS: Final = frozenset(
    {
        *("apikey", "auth", "authorization", "cookie", "credential", "credentials"),
        *("key", "password", "secret", "token"),
    }
)
"""Parts of the names of secret headers and query parameters; gateways in between have keys too."""
_SECRET_FIELDS: Final = frozenset({"provider_api_keys"})
_OWN_TO_HTTP: Final = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",  # the body is shown, and sent by curl, as it is
        "content-length",
        "user-agent",
    }
)


@frozen(kw_only=True)
class SentRequest:
    """A request as it was sent."""

    method: str
    url: str
    """Keys in its query are masked."""
    headers: tuple[tuple[str, str], ...]
    """Keys and cookies are masked."""
    body: str
    """Secret fields are masked."""
    body_size: int
    """Bytes of the whole body before compression; `body` may hold fewer."""

    def as_curl(self) -> str:
        """Return a shell command that sends the same request; the key is `$EVRUN_API_KEY` in it."""
        words = ["curl"]
        if self.method != "GET":
            words.append(f"-X {self.method}")
        words.append(shlex.quote(self.url))
        for name, value in self.headers:
            if name.lower() == API_KEY.lower():
                words.append(f'-H "{API_KEY}: $EVRUN_API_KEY"')
            elif name.lower() not in _OWN_TO_HTTP:
                # curl leaves out `Name:`; with a semicolon it sends it, empty.
                words.append(f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}")
        if self.body_size:
            words.append(f"--data-raw {shlex.quote(self.body)}")
        command = " ".join(words)
        if self.body_size > BODY_LIMIT:
            return f"{command}  # the body is cut: it had {self.body_size} bytes"
        return command


def redacted(request: httpx.Request) -> SentRequest:
    """Return what `request` says, with its secrets masked."""
    content = plain_body(request)
    return SentRequest(
        method=request.method,
        url=masked_url(request.url),
        headers=tuple(masked_headers(request.headers)),
        body=masked_body(content)[:BODY_LIMIT],
        body_size=len(content),
    )


def plain_body(request: httpx.Request) -> bytes:
    """Return the body as it was before we compressed it."""
    if request.headers.get("Content-Encoding") != "gzip":
        return request.content
    return gzip.decompress(request.content)


def masked_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers with keys and cookies masked."""
    return [(name, MASK if _is_secret(name.lower()) else value) for name, value in headers.items()]


def masked_url(url: httpx.URL | str) -> str:
    """Return an address with the keys in its query masked."""
    where, mark, query = str(url).partition("?")
    return where + mark + "&".join(map(_masked_pair, query.split("&")))


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals and _is_secret(unquote_plus(name).lower()) else pair


def _is_secret(name: str) -> bool:
    words = re.split("[-_]", name)
    return "-".join(words) != IDEMPOTENCY_KEY.lower() and not _SECRET_WORDS.isdisjoint(words)


def masked_body(content: bytes) -> str:
    """Return a body as text, with the keys of model providers masked."""
    text = content.decode("utf-8", "replace")
    if not any(field in text for field in _SECRET_FIELDS):
        return text
    try:
        return json.dumps(_masked(json.loads(content)), ensure_ascii=False)
    except (ValueError, RecursionError):
        # It names secrets and cannot be read: nothing of it is shown.
        return MASK


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: MASK if name in _SECRET_FIELDS else _masked(each) for name, each in value.items()
        }
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return value
