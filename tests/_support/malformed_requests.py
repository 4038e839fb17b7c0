"""What no HTTP client would send to a server, for each of its routes."""

from __future__ import annotations

import re

from starlette.routing import Route

from evrun.server import Database, create_app
from evrun.server.api.metrics import Metrics


def address_of(path: str) -> str:
    """Return a path of the contract with an id in it, of no object."""
    return re.sub(r"{\w+}", "evrun_a", path)


_APP = create_app(Database("sqlite:///never-opened.db"), metrics=Metrics())

ROUTES = sorted(
    (method, address_of(route.path))
    for route in _APP.routes
    if isinstance(route, Route)
    for method in (route.methods or set()) - {"HEAD"}  # answered as GET is, without a body
)
"""Method and path of all that the server answers, the API and what is beside it."""


def malformed(method: str, path: str, key: str) -> dict[str, bytes]:
    """Return what a broken or hostile client sends to one route, by what is wrong with it."""
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nX-API-KEY: {key}\r\n".encode()
    line, fields = head.split(b"\r\n", 1)
    address = path.encode()
    rest = b"\r\n" + fields + b"Connection: close\r\n\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n"
    return {
        "nothing but noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        "no version": f"{method} {path}\r\n\r\n".encode(),
        "another version": line.replace(b"1.1", b"9.9") + b"\r\n" + fields + b"\r\n",
        "another protocol": line.replace(b"HTTP", b"SMTP") + b"\r\n\r\n",
        "two spaces": line.replace(b" ", b"  ") + b"\r\n" + fields + b"\r\n",
        "space in the address": line.replace(address, address + b" x") + b"\r\n\r\n",
        "NUL in the address": line.replace(address, address + b"\0") + b"\r\n" + fields + b"\r\n",
        "encoded NUL": line.replace(address, address + b"%00") + b"\r\n" + fields + b"\r\n",
        "invalid UTF-8": line.replace(address, address + b"\xff\xfe") + b"\r\n" + fields + b"\r\n",
        "encoded invalid UTF-8": line.replace(address, address + b"%ff%c0%af?a=%ff") + rest,
        "broken escapes": line.replace(address, address + b"%zz%?sort=%&&=%") + rest,
        "dots": line.replace(address, b"/v4/../../etc/passwd" + address) + rest,
        "whole address": line.replace(address, b"http://elsewhere" + address) + rest,
        "no address": line.replace(address, b"*") + rest,
        "a broken host": line.replace(address, b"http://[::1" + address) + rest,
        "two slashes": line.replace(address, b"//elsewhere" + address) + rest,
        "encoded line ends": line.replace(address, address + b"%0d%0aX-A:%201?a=%0d%0a") + rest,
        "overlong UTF-8": line.replace(
            address, address + b"%c0%ae%c0%ae%c0%af%u0041?sort=%ed%a0%80"
        )
        + rest,
        "long method": line.replace(method.encode(), b"M" * 5000, 1) + b"\r\n" + fields + b"\r\n",
        "small method": line.replace(method.encode(), method.lower().encode(), 1) + rest,
        "HTTP/1.0": line.replace(b"1.1", b"1.0") + b"\r\n" + fields + b"\r\n",
        "empty lines before": b"\r\n" * 100 + head + b"Connection: close\r\n\r\n",
        "line feeds alone": head.replace(b"\r\n", b"\n") + b"Connection: close\n\n",
        "no host": line + b"\r\nX-API-KEY: k\r\nConnection: close\r\n\r\n",
        "two hosts": head + b"Host: other\r\n\r\n",
        "NUL in a header": head + b"X-A: a\0b\r\n\r\n",
        "bare CR in a header": head + b"X-A: a\rX-B: b\r\n\r\n",
        "folded header": head + b"X-A: a\r\n b\r\nConnection: close\r\n\r\n",
        "space before the colon": head + b"Content-Length : 5\r\n\r\nhello",
        "header without a name": head + b": a\r\n\r\n",
        "header without a colon": head + b"nonsense\r\n\r\n",
        "letters beyond ASCII in a name": head + "Schlüssel: a\r\n\r\n".encode(),
        "huge header": head + b"X-A: " + b"a" * 300_000 + b"\r\n\r\n",
        "many headers": head + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
        "huge key": line + b"\r\nHost: h\r\nX-API-KEY: " + b"k" * 70_000 + b"\r\n\r\n",
        "key beyond ASCII": line
        + b"\r\nHost: h\r\nX-API-KEY: \xff\xfe\r\nConnection: close\r\n\r\n",
        "both lengths": chunked + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
        "both lengths, hidden": head + b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0",
        "two lengths": head + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nhello",
        "the same length twice": head
        + b"Content-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        "length that is too short": head + b"Content-Length: 1\r\n\r\n{}nonsense\r\n\r\n",
        "length that is empty": head + b"Content-Length:\r\n\r\n",
        "a list of lengths": head + b"Content-Length: 4, 5\r\n\r\nhello",
        "negative length": head + b"Content-Length: -1\r\n\r\n",
        "length with a sign": head + b"Content-Length: +5\r\n\r\nhello",
        "length in hex": head + b"Content-Length: 0x5\r\n\r\nhello",
        "endless length": head + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        "unknown coding": head + b"Transfer-Encoding: gzip\r\n\r\n",
        "chunked twice": head + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "chunk size that is none": chunked + b"\r\nzz\r\nhello\r\n0\r\n\r\n",
        "negative chunk": chunked + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
        "huge chunk size": chunked + b"\r\n" + b"f" * 400 + b"\r\n",
        "chunk longer than it says": chunked + b"\r\n3\r\nhello\r\n0\r\n\r\n",
        "endless chunk extension": chunked + b"\r\n5;" + b"a" * 300_000,
        "huge trailer": chunked + b"\r\n0\r\nX-A: " + b"a" * 300_000 + b"\r\n\r\n",
        "body that ends early": head + b"Content-Length: 100\r\n\r\n{",
        "chunks that end early": chunked + b"\r\n5\r\nhel",
        "upgrade": head
        + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n",
        "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "expects something": head + b"Expect: a miracle\r\nConnection: close\r\n\r\n",
    }


# What is no request at all, and how that is answered before any route has seen it.
REFUSED = {
    "no version": 400,
    "two spaces": 400,
    "NUL in the address": 400,
    "invalid UTF-8": 400,
    "no host": 400,
    "two hosts": 400,
    "NUL in a header": 400,
    "space before the colon": 400,
    "huge header": 431,
    "many headers": 431,
    "both lengths": 400,
    "both lengths, hidden": 400,
    "two lengths": 400,
    "a list of lengths": 400,
    "negative length": 400,
    "length with a sign": 400,
    "length in hex": 400,
    "unknown coding": 400,
    "chunked twice": 400,
}
