"""A real HTTP server on loopback, in threads: records what comes, and over which connection."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import frozen

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

LOGGED = {"id": "data_1", "project_id": "pr_1", "session_id": None}
PAGE = {"records": [], "page": 0, "size": 50, "total": 0}


@frozen(kw_only=True)
class Seen:
    """A request that reached the server."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: Any
    """Names the connection that it came over."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@frozen(kw_only=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    drip: float | None = None
    """Seconds between the bytes of the body; None sends it whole."""


def usual(seen: Seen) -> Answer:
    """Answer a POST as a log is answered, and everything else with an empty page."""
    return Answer(status=201, body=LOGGED) if seen.method == "POST" else Answer(body=PAGE)


class Loopback(ThreadingHTTPServer):
    """Answers as `answer` says, over TLS if there is a `context`."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self, answer: Callable[[Seen], Answer] = usual, *, context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.context = context
        self.seen: list[Seen] = []
        self.accepted = 0
        """Connections, those without a request too."""

    @property
    def origin(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v4"

    @property
    def connections(self) -> int:
        """How many connections the requests came over."""
        return len({seen.connection for seen in self.seen})

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection, so that a bad handshake stops nobody."""
        self.accepted += 1
        if self.context is None:
            super().finish_request(request, client_address)
            return
        secured = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            secured.do_handshake()
            super().finish_request(secured, client_address)
        finally:
            _close_gently(secured)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are what is tested here."""


def _close_gently(connection: socket.socket) -> None:
    """Close after the client has: data that nobody read would cut off what was sent last."""
    plain = socket.socket(fileno=connection.detach())
    with plain, suppress(OSError):
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65536):
            pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _loopback(self) -> Loopback:
        return cast("Loopback", self.server)

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            connection=self.client_address,
        )
        self._loopback.seen.append(seen)
        answer = self._loopback.answer(seen)
        content = json.dumps(answer.body).encode()
        lines = [
            f"HTTP/1.1 {answer.status} As Told",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if answer.drip is None:
            self.wfile.write(head + content)
            return
        self.wfile.write(head)
        for byte in content:
            time.sleep(answer.drip)
            self.wfile.write(bytes([byte]))

    # The base class finds them by name.
    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing on standard error."""


S = TypeVar("S", bound=ThreadingHTTPServer)


@contextmanager
def running(server: S) -> Iterator[S]:
    """Serve until the block ends."""
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
