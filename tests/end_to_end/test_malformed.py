"""Malformed HTTP against every route: never 5xx, never a hang, and the server lives on."""

from __future__ import annotations

import gzip
import random
import re
import socket
import struct
from typing import TYPE_CHECKING

import httpx
import pytest

from _support.commands import new_key
from _support.malformed_requests import REFUSED, ROUTES, address_of, malformed
from _support.raw_http import Reply, connect, end, received, replies, request, send
from _support.serve_process import service
from _support.served import contract_operations
from evrun.server.api.operations import PREFIX
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.server.api.operations import Operation

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
WITH_BODY = [operation for operation in OPERATIONS.values() if operation.body]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return a server's address and a key, and hold in the end that it saw no defect."""
    folder = tmp_path_factory.mktemp("malformed")
    key = new_key(folder)
    with service(folder, "--client-timeout", "2") as running:
        yield running.base_url, key
        page = httpx.get(f"{running.root}/metrics").text
        assert not re.findall(r'evrun_requests_total{.*status="5.*', page)
        assert running.stop() == 0
    log = "\n".join(running.said)
    assert "Traceback" not in log
    assert "ERROR" not in log


@pytest.fixture
def served(server: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Return the same, and hold after each test that the server answers as ever."""
    yield server
    base_url, key = server
    response = httpx.get(f"{base_url}/projects", headers={"X-API-KEY": key})
    assert response.status_code == 200
    assert httpx.get(f"{base_url.removesuffix('/v4')}/readyz").status_code == 200


def test_every_route_is_tried() -> None:
    """The routes are those of the application: all of the contract's, and three beside them."""
    contract = {
        (method, PREFIX + address_of(path)) for method, path, _ in contract_operations().values()
    }
    beside = {("GET", path) for path in ("/healthz", "/metrics", "/readyz")}
    assert set(ROUTES) == contract | beside


@pytest.mark.parametrize("wrong", list(malformed("GET", "/", "k")))
def test_malformed_requests_to_every_route(served: tuple[str, str], wrong: str) -> None:
    """Each gets a refusal or an answer that is none of the server's faults, and an end.

    What is no request at all is refused once, with a sentence, before any route has seen it.
    """
    base_url, key = served
    for method, path in ROUTES:
        answers = send(base_url, malformed(method, path, key)[wrong], last=True)
        for answer in answers:
            sane(answer, f"{method} {path}")
        if wrong in REFUSED:
            (answer,) = answers
            assert answer.status == REFUSED[wrong], (method, path)
            assert answer.headers["connection"] == "close"
            assert isinstance(answer.detail, str)


@pytest.mark.parametrize("wrong", list(malformed("GET", "/", "k")))
def test_malformed_requests_for_heads(served: tuple[str, str], wrong: str) -> None:
    """HEAD, where a route knows it: the same, and no answer to it has a body."""
    base_url, key = served
    for path in {path for _, path in ROUTES if not path.startswith(PREFIX)}:
        with connect(base_url) as connection:
            connection.sendall(malformed("HEAD", path, key)[wrong])
            end(connection)
            first = received(connection).partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 [24]", first[0]) or not first[0], (wrong, path, first)
        if wrong == "chunk size that is none":
            assert first[0].startswith(b"HTTP/1.1 400 ")
            assert first[2] == b""


def sane(answer: Reply, where: str) -> None:
    """Fail unless an answer is a documented one, in the shape of all others."""
    assert 200 <= answer.status < 500, (where, answer)
    assert answer.headers["evrun-capabilities"]
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/json", where
    if answer.status >= 400 and answer.body:
        assert set(httpx.Response(200, content=answer.body).json()) == {"detail"}


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
    hidden = b"0\r\n\r\n" + request("POST", "/v4/projects", {"X-API-KEY": key}, body)
    lengths = fields.format(n=len(hidden))
    for method, path in ROUTES:
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nX-API-KEY: {key}\r\n{lengths}\r\n\r\n"
        answers = send(base_url, head.encode() + hidden)
        assert [answer.status for answer in answers] == [400], (method, path)
    found = httpx.get(
        f"{base_url}/projects", params={"filter": name}, headers={"X-API-KEY": key}
    ).json()
    assert found["total"] == 0


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_every_method_on_every_route(served: tuple[str, str], path: str) -> None:
    """Those that a route does not take are 405, and `Allow` names those that it does."""
    base_url, key = served
    taken = {method for method, each in ROUTES if each == path}
    if not path.startswith(PREFIX):
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


BYTES = (b"\0", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 5000, b"nan", b"'", b'"\\ud800"')


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.id)
def test_bodies_that_are_no_json(served: tuple[str, str], operation: Operation) -> None:
    """Bytes of every kind are 422 on every operation with a body, whatever they claim to be."""
    base_url, key = served
    path = PREFIX + address_of(operation.path)
    packed = gzip.compress(b"{}")
    unpacked = (b"noise", b"\x1f\x8b", packed[:-1], packed[:10], packed[:-5] + b"wrong", packed * 2)
    for headers, bodies in (
        ({}, BYTES),
        ({"Content-Type": "application/x-www-form-urlencoded"}, (b"name=x&inputs[a]=b",)),
        ({"Content-Type": "multipart/form-data; boundary=b"}, (b"--b\r\n\r\nx\r\n--b--",)),
        (
            {"Content-Type": "text/xml"},
            (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',),
        ),
        ({"Content-Type": "application/json; charset=utf-16"}, ('{"name": "x"}'.encode("utf-16"),)),
        ({"Content-Encoding": "gzip"}, unpacked),
        ({"Content-Encoding": "deflate"}, (b"{}",)),
        ({"Content-Encoding": "gzip, gzip"}, (gzip.compress(packed),)),
    ):
        for body in bodies:
            sent = request(operation.method, path, {"X-API-KEY": key, **headers}, body)
            (answer,) = send(base_url, sent)
            assert answer.status == 422, (headers, body, answer)
            sane(answer, path)


def test_bodies_where_none_belongs(served: tuple[str, str]) -> None:
    """A route that takes no body does not mind one, and answers as without it."""
    base_url, key = served
    with_body = {(each.method, PREFIX + address_of(each.path)) for each in WITH_BODY}
    for method, path in ROUTES:
        if (method, path) in with_body or path == "/metrics":
            continue
        (usual,) = send(base_url, request(method, path, {"X-API-KEY": key}))
        for headers in ({}, {"Content-Encoding": "gzip"}, {"Content-Type": "text/html"}):
            (answer,) = send(
                base_url, request(method, path, {"X-API-KEY": key, **headers}, b"\x1f")
            )
            assert answer.status == usual.status, (method, path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_hang_ups_at_every_route(served: tuple[str, str], share: float) -> None:
    """A client that resets the connection within its request, or before the answer."""
    base_url, key = served
    for method, path in ROUTES:
        content = request(method, path, {"X-API-KEY": key}, b'{"name": "gone"}' * 100)
        with connect(base_url) as connection:
            connection.sendall(content[: int(len(content) * share)])
            # No farewell: the server meets an error where it reads or writes.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


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
        for answer in send(base_url, bytes(content), last=True):
            assert 200 <= answer.status < 500, (bytes(content), answer)


def test_pipelined_requests_are_answered_in_order(served: tuple[str, str]) -> None:
    """Twenty in one packet; the good ones before a bad one are answered, then it ends."""
    base_url, key = served
    keep = request("GET", "/v4/projects", {"X-API-KEY": key}).replace(b"Connection: close\r\n", b"")
    with connect(base_url) as connection:
        connection.sendall(keep * 20 + b"nonsense\r\n\r\n" + keep)
        answers = list(replies(received(connection)))
    assert [answer.status for answer in answers] == [200] * 20 + [400]
