"""A real HTTP proxy on loopback: it forwards, tunnels (CONNECT), and asks for a password."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit


class ForwardProxy(ThreadingHTTPServer):
    """Forwards whatever it is asked for to `target`, whichever host is named."""

    daemon_threads = True

    def __init__(self, target: str, *, password: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(target)
        self.target = parts.hostname or "", parts.port or 80
        self.wanted = f"Basic {b64encode(password.encode()).decode()}" if password else None
        self.asked: list[str] = []
        """The request lines that came."""
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _proxy(self) -> ForwardProxy:
        return cast("ForwardProxy", self.server)

    def _may(self) -> bool:
        self._proxy.asked.append(self.requestline)
        self._proxy.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self._proxy.wanted in {None, self.headers.get("Proxy-Authorization")}:
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._may():
            return
        parts = urlsplit(self.path)
        upstream = HTTPConnection(*self._proxy.target, timeout=10)
        hop = {"proxy-authorization", "proxy-connection", "connection"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        upstream.request(self.command, f"{parts.path}?{parts.query}", body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = forward  # noqa: N815 - the base class finds them by name

    def do_CONNECT(self) -> None:
        if not self._may():
            return
        with socket.create_connection(self._proxy.target, timeout=10) as upstream:
            self.send_response(200)
            self.end_headers()
            back = Thread(target=_pump, args=(upstream, self.connection), daemon=True)
            back.start()
            _pump(self.connection, upstream)
            back.join(10)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing on standard error."""


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
