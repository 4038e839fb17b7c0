"""Malformed HTTP against every route: never 5xx, never a hang, and the server lives on."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import httpx
import pytest
from commands import new_key, serving
from raw import Reply, connect, received, replies, request, send

from evrun.server.routes import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.server.operations import Operation

ROUTES = sorted({("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}) + sorted(
    (operation.method, re.sub(r"{\w+}", "evrun_a", f"/v4{operation.path}"))
    for operation in OPERATIONS.values()
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return a server's address and a key, and hold in the end that it lives and saw no defect."""
    folder = tmp_path_factory.mktemp("malformed")
    key = new_key(folder)
    with serving(folder, "--client-timeout", "2") as base_url:
        yield base_url, key
        response = httpx.get(f"{base_url}/projects", headers={"X-API-KEY": key})
        assert response.status_code == 200
        page = httpx.get(f"{base_url.removesuffix('/v4')}/metrics").text
        assert not re.findall(r'evrun_requests_total{.*status="5.*', page)


def malformed(method: str, path: str, key: str) -> dict[str, bytes]:
    """Return what a broken or hostile client sends to one route, by what is wrong with it."""
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nX-API-KEY: {key}\r\n".encode()
    line, fields = head.split(b"\r\n", 1)
    address = path.encode()
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
        "encoded invalid UTF-8": line.replace(address, address + b"%ff%c0%af?a=%ff")
        + b"\r\n"
        + fields
        + b"Connection: close\r\n\r\n",
        "broken escapes": line.replace(address, address + b"%zz%?sort=%&&=%")
        + b"\r\n"
        + fields
        + b"Connection: close\r\n\r\n",
        "dots": line.replace(address, b"/v4/../../etc/passwd" + address)
        + b"\r\n"
        + fields
        + b"Connection: close\r\n\r\n",
        "whole address": line.replace(address, b"http://elsewhere" + address)
        + b"\r\n"
        + fields
        + b"Connection: close\r\n\r\n",
        "no address": line.replace(address, b"*") + b"\r\n" + fields + b"Connection: close\r\n\r\n",
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


WRONG = list(malformed("GET", "/", "k"))


@pytest.mark.parametrize("wrong", WRONG)
def test_malformed_requests_to_every_route(served: tuple[str, str], wrong: str) -> None:
    """Each gets a refusal or an answer that is none of the server's faults, and an end."""
    base_url, key = served
    for method, path in ROUTES:
        answers = send(base_url, malformed(method, path, key)[wrong], end=True)
        for answer in answers:
            sane(answer, f"{method} {path}")


def sane(answer: Reply, where: str) -> None:
    """Fail unless an answer is a documented one, in the shape of all others."""
    assert 200 <= answer.status < 500, (where, answer)
    assert answer.headers["evrun-capabilities"]
    if answer.status >= 400 and answer.body:
        assert set(httpx.Response(200, content=answer.body).json()) == {"detail"}


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


@pytest.mark.parametrize(("wrong", "status"), REFUSED.items(), ids=list(REFUSED))
def test_what_is_no_request_is_refused_with_a_sentence(
    served: tuple[str, str], wrong: str, status: int
) -> None:
    """Before any route has seen it, once, and the connection ends."""
    base_url, key = served
    (answer,) = send(base_url, malformed("POST", "/v4/projects", key)[wrong])
    assert answer.status == status
    assert isinstance(answer.detail, str)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: {n}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: {n}",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: {n}",
        "Transfer-Encoding: \tchunked\r\nContent-Length: {n}",
        "Transfer-Encoding:\x0bchunked\r\nContent-Length: {n}",
        "transfer-encoding: CHUNKED\r\ncontent-length: {n}",
        "Content-Length: {n}\r\nContent-Length: 0",
        "Content-Length: 0, {n}",
    ],
)
def test_nothing_is_smuggled(served: tuple[str, str], fields: str) -> None:
    """A request within what could be read as a body is not carried out."""
    base_url, key = served
    name = f"smuggled {random.random()}"  # noqa: S311 - no secret
    body = b'{"name": "%s"}' % name.encode()
    inner = request("POST", "/v4/projects", {"X-API-KEY": key}, body)
    hidden = b"0\r\n\r\n" + inner
    head = (
        f"POST /v4/sessions HTTP/1.1\r\nHost: h\r\nX-API-KEY: {key}\r\n"
        f"{fields.format(n=len(hidden))}\r\n\r\n"
    )
    answers = send(base_url, head.encode() + hidden)
    assert [answer.status for answer in answers] == [400]
    found = httpx.get(
        f"{base_url}/projects", params={"filter": name}, headers={"X-API-KEY": key}
    ).json()
    assert found["total"] == 0


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_every_method_on_every_route(served: tuple[str, str], path: str) -> None:
    """Those that a route does not take are 405, and `Allow` names those that it does."""
    base_url, key = served
    taken = {method for method, each in ROUTES if each == path}
    if not path.startswith("/v4"):
        taken.add("HEAD")
    for method in METHODS:
        target = path if method != "CONNECT" else "h:1"
        (answer,) = send(base_url, request(method, target, {"X-API-KEY": key}))
        sane(answer, f"{method} {path}")
        if method in taken:
            assert answer.status != 405
        elif method != "CONNECT":
            assert answer.status == 405
            assert set(answer.headers["allow"].split(", ")) == taken


@pytest.mark.parametrize("operation", [each for each in OPERATIONS.values() if each.body])
def test_bodies_that_are_no_json(served: tuple[str, str], operation: Operation) -> None:
    """Bytes of every kind are 422 on every operation with a body."""
    base_url, key = served
    path = re.sub(r"{\w+}", "evrun_a", f"/v4{operation.path}")
    for body in (b"\0", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 5000, b"nan", b"'", b'"\\ud800"'):
        (answer,) = send(base_url, request(operation.method, path, {"X-API-KEY": key}, body))
        assert answer.status == 422, (body, answer)


def test_random_bytes_and_random_damage(served: tuple[str, str]) -> None:
    """Good requests with bytes changed, cut out and put in, 600 of them, all from one seed."""
    base_url, key = served
    chance = random.Random(20241001)  # noqa: S311 - the same each time
    for _ in range(600):
        method, path = chance.choice(ROUTES)
        content = bytearray(request(method, path, {"X-API-KEY": key}, b'{"name": "x"}'))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(content))
            kind = chance.randrange(3)
            if kind == 0:
                content[place] = chance.randrange(256)
            elif kind == 1:
                del content[place : place + chance.randint(1, 9)]
            else:
                content[place:place] = chance.randbytes(chance.randint(1, 9))
            content = content or bytearray(b"\r\n")
        for answer in send(base_url, bytes(content), end=True):
            assert 200 <= answer.status < 500, (bytes(content), answer)


def test_pipelined_requests_are_answered_in_order(served: tuple[str, str]) -> None:
    """Twenty in one packet; the good ones before a bad one are answered, then it ends."""
    base_url, key = served
    keep = request("GET", "/v4/projects", {"X-API-KEY": key}).replace(b"Connection: close\r\n", b"")
    with connect(base_url) as connection:
        connection.sendall(keep * 20 + b"nonsense\r\n\r\n" + keep)
        answers = list(replies(received(connection)))
    assert [answer.status for answer in answers] == [200] * 20 + [400]
