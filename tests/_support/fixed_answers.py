"""A server that answers every request alike, or as it is told by path, and keeps what came."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping


@frozen
class Reply:
    """What to answer. Status 0 breaks the connection without a word."""

    status: int = 200
    body: Any = b""
    """Bytes as they are, or JSON."""
    headers: Mapping[str, str] = Factory(dict)

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def kind(self) -> str:
        """The content type, unless `headers` has one."""
        return "text/html" if isinstance(self.body, bytes) else "application/json"


@frozen
class Received:
    """A request that came."""

    method: str
    path: str
    key: str | None
    body: Any
    idempotency_key: str | None = None


@define
class Answering:
    """Where the server is, and what came there."""

    url: str
    received: list[Received] = Factory(list)


@contextmanager
def answering(
    reply: Reply, by_path: Mapping[str, Reply] | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[Answering]:
    """Serve on loopback; `by_path` says what single paths answer instead."""
    replies = by_path or {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(content) if content else None
            key = self.headers.get("X-API-KEY")
            server.received.append(
                Received(self.command, self.path, key, body, self.headers.get("Idempotency-Key"))
            )
            chosen = replies.get(self.path.partition("?")[0], reply)
            self.close_connection = True
            if not chosen.status:
                return
            self.send_response(chosen.status)
            headers = {"Content-Type": chosen.kind, "Connection": "close", **chosen.headers}
            for name, value in {**headers, "Content-Length": str(len(chosen.content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(chosen.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
            """Say nothing."""

    class Listener(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: a client that trusts no certificate breaks the handshake off."""

    listener = Listener(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake belongs to the connection's thread: a client that breaks it off must not
        # stop the server.
        listener.socket = tls.wrap_socket(
            listener.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "http" if tls is None else "https"
    server = Answering(f"{scheme}://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
