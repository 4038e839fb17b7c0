"""HTTP by hand, over a socket: what no client library would send."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class Reply:
    """The first answer on a connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def detail(self) -> Any:
        """What an error says."""
        return json.loads(self.body)["detail"]


def connect(base_url: str, *, timeout: float = 20) -> socket.socket:
    """Connect to a server; waiting longer than `timeout` is a failure: it hangs."""
    address = urlsplit(base_url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout)


def send(base_url: str, *parts: bytes, last: bool = False) -> list[Reply]:
    """Send bytes and return every answer until the server closes. `last`: nothing more comes."""
    with connect(base_url) as connection:
        for part in parts:
            connection.sendall(part)
        if last:
            end(connection)
        return list(replies(received(connection)))


def end(connection: socket.socket) -> None:
    """Say that nothing more will come."""
    with suppress(OSError):  # it closed first
        connection.shutdown(socket.SHUT_WR)


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    chunks = []
    try:
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass  # it closed while bytes of ours were on the way
    return b"".join(chunks)


def replies(content: bytes) -> Iterable[Reply]:
    """Yield the answers that stand one behind the other, each with a Content-Length."""
    while content:
        head, _, content = content.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in fields)
        }
        length = int(headers.get("content-length", "0"))
        yield Reply(int(line.split()[1]), headers, content[:length])
        content = content[length:]


def request(
    method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> bytes:
    """Return a request after which the server closes."""
    given = {"Host": "evrun.test", "Connection": "close", **(headers or {})}
    if body and "Transfer-Encoding" not in given:
        given.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
