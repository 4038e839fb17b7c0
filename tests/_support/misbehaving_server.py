"""A server on loopback that misbehaves as it is told, to the byte, and records what reached it.

Each request gets the next `Behaviour` of the script, the last one again and again. A behaviour is a
function of the `Wire`; those below are the ones that networks, proxies and bad servers show.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

from _support.loopback_server import LOGGED, PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Behaviour = Callable[["Wire"], None]

ANNOUNCEMENT: Final = "Evrun-Capabilities: idempotency=86400"


@frozen(kw_only=True)
class Received:
    """A request whose head reached the server."""

    method: str
    path: str
    headers: dict[str, str]
    """By names in lower case."""
    connection: int
    """The number of the connection that it came over, from 1 up."""


class Gone(Exception):  # noqa: N818 - no error: it ends a connection
    """The connection is over."""


@define
class Wire:
    """One connection, as a behaviour sees it: most see it when the request has been read."""

    _server: Misbehaving
    _socket: socket.socket
    _number: int
    _unread: bytes = b""
    _body_left: int = 0
    method: str = ""

    def send(self, *parts: bytes, every: float = 0.0) -> None:
        """Send the parts, a pause after each."""
        for part in parts:
            self._socket.sendall(part)
            self._server.bytes_sent += len(part)
            if every:
                self.wait(every)

    def wait(self, seconds: float) -> None:
        """Do nothing for a while, but not beyond the test's end."""
        if self._server.stopping.wait(seconds):
            raise Gone

    def close(self) -> None:
        """Say that no more will come, and stop listening."""
        raise Gone

    def reset(self) -> None:
        """Break the connection off, as a crashed machine does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def read_body(self) -> None:
        """Read what is left of the request's body."""
        while self._body_left > 0:
            self._body_left -= len(self._receive())
        self._unread = b""

    def read_head(self) -> Received:
        """Wait for a request."""
        while b"\r\n\r\n" not in self._unread:
            self._unread += self._receive()
        head, _, rest = self._unread.partition(b"\r\n\r\n")
        line, *lines = head.decode("ascii").split("\r\n")
        pairs = (each.partition(": ") for each in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        self._body_left = int(headers.get("content-length", 0)) - len(rest)
        self._unread = b""
        self.method, path, _ = line.split(" ")
        return Received(method=self.method, path=path, headers=headers, connection=self._number)

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise Gone
        return data


class Misbehaving:
    """Answers by a script of behaviours."""

    def __init__(self, *script: Behaviour) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.bytes_sent = 0
        self.stopping = threading.Event()
        self._script = list(script)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v4"

    def tell(self, *script: Behaviour) -> None:
        """Behave otherwise from now on, and forget what came."""
        with self._lock:
            self._script = list(script)
            self.received.clear()

    def serve(self) -> None:
        """Accept connections until `stop`."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(
                target=self._converse, args=(connection, self.connections), daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Close everything, and wait until nothing runs any more."""
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _converse(self, connection: socket.socket, number: int) -> None:
        wire = Wire(self, connection, number)
        with connection, suppress(OSError, Gone):
            if self._next() is unread:
                self._take()
                unread(wire)
            while True:
                received = wire.read_head()
                with self._lock:
                    self.received.append(received)
                behaviour = self._take()
                if behaviour not in EARLY:
                    wire.read_body()
                behaviour(wire)
        self._open.discard(connection)

    def _next(self) -> Behaviour:
        with self._lock:
            return self._script[0]

    def _take(self) -> Behaviour:
        with self._lock:
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]


@contextmanager
def misbehaving(*script: Behaviour) -> Iterator[Misbehaving]:
    """Run a server until the block ends."""
    server = Misbehaving(*script)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)


# Building blocks.


def head(status: int, *headers: str, length: int | None = None) -> bytes:
    """Return a head; without a length the body ends with the connection."""
    lines = [f"HTTP/1.1 {status} As Told", "X-Request-ID: r-1", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def usual(method: str) -> tuple[int, bytes]:
    """Return what the contract promises: a created log, or an empty page."""
    return (
        (201, json.dumps(LOGGED).encode()) if method == "POST" else (200, json.dumps(PAGE).encode())
    )


def good(*headers: str) -> Behaviour:
    """Answer as a good server does, with some more headers."""

    def behave(wire: Wire) -> None:
        status, body = usual(wire.method)
        wire.send(head(status, "Content-Type: application/json", *headers, length=len(body)) + body)

    return behave


def answer(status: int, *headers: str, body: bytes = b'{"detail":"No"}') -> Behaviour:
    """Answer well-formed, whatever the status."""
    return lambda wire: wire.send(head(status, *headers, length=len(body)) + body)


def raw(data: bytes) -> Behaviour:
    """Send this and close the connection."""

    def behave(wire: Wire) -> None:
        wire.send(data)
        wire.close()

    return behave


# Connections that break.


def unread(wire: Wire) -> None:
    """Close before anything was read."""
    wire.close()


def closed_before_the_head(wire: Wire) -> None:
    wire.close()


def reset_before_the_head(wire: Wire) -> None:
    wire.reset()


def closed_inside_the_head(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    wire.close()


def closed_after_the_head(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)))
    wire.close()


def closed_inside_the_body(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)) + body[:10])
    wire.close()


def reset_inside_the_body(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)) + body[:10])
    wire.wait(0.05)  # a reset overtakes what was not read yet
    wire.reset()


def refused_with_half_a_body(wire: Wire) -> None:
    wire.send(head(400, length=500) + b'{"detail": "No')
    wire.close()


def failed_with_half_a_body(wire: Wire) -> None:
    wire.send(head(500, length=500) + b'{"detail": "No')
    wire.close()


# Slow ones.


def silent(wire: Wire) -> None:
    wire.wait(30)


def stalled_inside_the_head(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    wire.wait(30)


def stalled_after_the_head(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)))
    wire.wait(30)


def stalled_inside_the_body(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)) + body[:10])
    wire.wait(30)


def refused_and_stalled(wire: Wire) -> None:
    wire.send(head(400, length=500) + b'{"detail": "No')
    wire.wait(30)


def dripping_head(wire: Wire) -> None:
    """Send the head in pieces, none of them late, and all within 0.2 s."""
    status, body = usual(wire.method)
    data = head(status, length=len(body))
    wire.send(data[:7], data[7:20], data[20:40], every=0.04)
    wire.send(data[40:] + body)


def dripping_body(wire: Wire) -> None:
    """Send the body in pieces, none of them late; all take 0.6 s."""
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body)))
    size = len(body) // 6 + 1
    wire.send(*(body[at : at + size] for at in range(0, len(body), size)), every=0.1)


def endless_head(wire: Wire) -> None:
    """Send header after header, for ever."""
    wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        wire.send(b"X-More: yes\r\n", every=0.03)


def endless_body(wire: Wire) -> None:
    """Send a byte now and then, for ever."""
    wire.send(head(usual(wire.method)[0]))
    while True:
        wire.send(b" ", every=0.03)


# Wrong lengths and broken heads.


def length_too_long(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body) + 7) + body)
    wire.close()


def length_too_short(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, length=len(body) - 7) + body)


def two_lengths(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, f"Content-Length: {len(body) + 7}", length=len(body)) + body)
    wire.close()


def the_same_length_twice(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, f"Content-Length: {len(body)}", length=len(body)) + body)


def broken_chunks(wire: Wire) -> None:
    status, _ = usual(wire.method)
    wire.send(head(status, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    wire.close()


def chunks_without_an_end(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body))
    wire.close()


def good_chunks(wire: Wire) -> None:
    status, body = usual(wire.method)
    wire.send(head(status, "Transfer-Encoding: chunked"))
    wire.send(*(b"1\r\n%c\r\n" % byte for byte in body))
    wire.send(b"0\r\n\r\n")


def ended_by_closing(wire: Wire) -> None:
    """Answer as HTTP/1.0 did: the connection's end is the body's."""
    status, body = usual(wire.method)
    wire.send(head(status).replace(b"HTTP/1.1", b"HTTP/1.0") + body)
    wire.close()


# Odd but allowed, or wrong beyond the head.


def informed_first(wire: Wire) -> None:
    """Send 100 and 103 before the answer."""
    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    good()(wire)


def truncated_json(wire: Wire) -> None:
    """Send half a document, with the right length."""
    status, body = usual(wire.method)
    wire.send(head(status, "Content-Type: application/json", length=20) + body[:20])


def html(status: int | None = None) -> Behaviour:
    """Answer with a page for people: with this status, or as a success."""

    def behave(wire: Wire) -> None:
        page = b"<html><body>Sign in</body></html>"
        code = status or usual(wire.method)[0]
        wire.send(head(code, "Content-Type: text/html; charset=utf-8", length=len(page)) + page)

    return behave


def good_gzip(wire: Wire) -> None:
    status, body = usual(wire.method)
    packed = gzip.compress(body)
    wire.send(head(status, "Content-Encoding: gzip", length=len(packed)) + packed)


def bad_gzip(wire: Wire) -> None:
    """Say gzip and send something else."""
    status, body = usual(wire.method)
    wire.send(head(status, "Content-Encoding: gzip", length=len(body)) + body)


def huge(status: int, size: int = 100 * 1024 * 1024) -> Behaviour:
    """Answer with a JSON text of that size."""

    def behave(wire: Wire) -> None:
        piece = b"a" * (1024 * 1024)
        wire.send(head(status, "Content-Type: application/json", length=size))
        wire.send(b'"')
        left = size - 2
        while left > 0:
            wire.send(piece[:left])
            left -= len(piece)
        wire.send(b'"')

    return behave


def huge_success(wire: Wire) -> None:
    """Answer as promised, after 100 MB of white space."""
    status, body = usual(wire.method)
    size = 100 * 1024 * 1024
    wire.send(head(status, "Content-Type: application/json", length=size))
    piece = b" " * (1024 * 1024)
    left = size - len(body)
    while left > 0:
        wire.send(piece[:left])
        left -= len(piece)
    wire.send(body)


def answered_early(wire: Wire) -> None:
    """Refuse before the body was read, then read it."""
    body = b'{"detail":"Too much"}'
    wire.send(head(413, "Connection: close", length=len(body)) + body)
    wire.read_body()
    wire.close()


EARLY: Final = frozenset({answered_early})
"""Behaviours that see the request before its body was read."""
