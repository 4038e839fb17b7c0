"""`evrun serve` before clients that take too much: bytes, time, connections, requests."""

from __future__ import annotations

import gzip
import select
import socket
import time
import zlib
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from attrs import frozen

from _support.commands import evrun_process, new_key, serving
from _support.raw_http import connect, end, received, replies, request, send
from evrun import Evrun
from evrun.server.api.limits import ADDRESS_LIMIT, HEAD_LIMIT, UNAUTHENTICATED_BODY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
OPTIONS = ("--body-limit", "1MiB", "--client-timeout", "1", "--max-connections", "40")


@frozen
class Served:
    """A server with low limits, and its process."""

    base_url: str
    key: str
    reader: str
    """A key that only reads."""

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-KEY": self.key}

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{self.base_url}/projects", content=content, headers={**self.headers, **headers}
        )

    def lives(self) -> None:
        """Fail unless the server answers as ever."""
        response = httpx.get(f"{self.base_url}/projects", headers=self.headers)
        assert response.status_code == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("limits")
    key, reader = new_key(folder), new_key(folder, "reader", scope="read")
    with serving(folder, *OPTIONS) as base_url:
        served = Served(base_url, key, reader)
        yield served
        served.lives()


def project(name: str) -> bytes:
    return b'{"name": "%s"}' % name.encode()


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_compressed_body_is_inflated(served: Served, encoding: str) -> None:
    """gzip, under both of its names."""
    name = f"compressed as {encoding!r}"
    response = served.post(gzip.compress(project(name)), **{"Content-Encoding": encoding})
    assert (response.status_code, response.json()["name"]) == (201, name)


def test_a_body_over_the_limit_is_413(served: Served) -> None:
    """As sent and as inflated, to the byte; with and without Content-Length."""
    for size, status in ((MIB, 201), (MIB + 1, 413)):
        assert served.post(project(f"plain {size}").ljust(size)).status_code == status
        packed = gzip.compress(project(f"packed {size}").ljust(size))
        response = served.post(packed, **{"Content-Encoding": "gzip"})
        assert response.status_code == status
    assert response.json() == {
        "detail": f"The body is longer than {MIB} bytes. Send less in one request."
    }
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n"
    headers = {**served.headers, "Transfer-Encoding": "chunked"}
    (reply,) = send(served.base_url, request("POST", "/v4/projects", headers, chunks))
    assert reply.status == 413


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """300 MiB of zeros in 300 KiB are 413, and the server stays as small as it was."""
    bomb = zlib.compressobj(wbits=31)
    packed = b"".join(bomb.compress(bytes(MIB)) for _ in range(300)) + bomb.flush()
    assert len(packed) < MIB
    key = new_key(tmp_path)
    headers = {"X-API-KEY": key, "Content-Encoding": "gzip"}
    with serving(tmp_path, "--body-limit", "1MiB") as base_url, httpx.Client() as client:
        client.get(f"{base_url}/projects", headers=headers)
        before = resident_bytes(base_url)
        for _ in range(20):
            response = client.post(f"{base_url}/projects", content=packed, headers=headers)
            assert response.status_code == 413
        assert resident_bytes(base_url) - before < 40 * MIB


def test_strangers_take_no_memory(tmp_path: Path) -> None:
    """They are refused before more of a body is kept than a small one has, however it comes."""
    new_key(tmp_path)
    stranger = {"X-API-KEY": "evk_unknown", "Connection": "keep-alive"}
    declared = request("POST", "/v4/projects", {**stranger, "Content-Length": str(4 * MIB + 1)})
    chunked = request("POST", "/v4/projects", {**stranger, "Transfer-Encoding": "chunked"})
    sent = [declared + bytes(4 * MIB), chunked + b"%x\r\n" % (4 * MIB + 1) + bytes(4 * MIB)]
    with serving(tmp_path) as base_url, ExitStack() as stack:
        before = resident_bytes(base_url)
        connections = [stack.enter_context(connect(base_url)) for _ in range(40)]
        for number, connection in enumerate(connections):
            connection.sendall(sent[number % 2])
        assert resident_bytes(base_url) - before < 40 * MIB
        for connection in connections:
            end(connection)
            reply, *_ = replies(received(connection))
            assert reply.status == 401


def test_whoever_may_not_send_a_long_body_is_refused_before_it(served: Served) -> None:
    """Nothing of it is waited for: neither a stranger's nor that of a key that only reads."""
    for key, status in (("evk_unknown", 401), (served.reader, 403), (served.key, 408)):
        headers = {"X-API-KEY": key, "Content-Length": str(UNAUTHENTICATED_BODY_LIMIT + 1)}
        (reply,) = send(served.base_url, request("POST", "/v4/projects", headers))
        assert reply.status == status
    headers = {"X-API-KEY": served.reader, "Content-Length": str(UNAUTHENTICATED_BODY_LIMIT)}
    (reply,) = send(served.base_url, request("POST", "/v4/projects", headers))
    assert reply.status == 408


def resident_bytes(base_url: str) -> float:
    page = httpx.get(f"{base_url.removesuffix('/v4')}/metrics").text
    (line,) = (each for each in page.splitlines() if each.startswith("process_resident_memory"))
    return float(line.split()[1])


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("br", project("x")),
        ("gzip, gzip", gzip.compress(gzip.compress(project("x")))),
        ("gzip", project("x")),
        ("gzip", gzip.compress(project("x"))[:-4]),
        ("gzip", gzip.compress(project("x")) + b"more"),
        ("gzip", gzip.compress(project("x")) + gzip.compress(b"")),
        ("gzip", gzip.compress(project("x"))[:-8] + bytes(8)),
        ("gzip", b""),
    ],
    ids=["unknown", "twice", "plain", "cut off", "more behind", "two members", "checksum", "empty"],
)
def test_a_body_that_is_not_what_it_claims_is_422(
    served: Served, encoding: str, content: bytes
) -> None:
    """At the header, and nothing of it is read."""
    response = served.post(content, **{"Content-Encoding": encoding})
    assert response.status_code == 422
    (complaint,) = response.json()["detail"]
    assert complaint["loc"] == ["header", "Content-Encoding"]


def test_nobody_inflates_without_a_key(served: Served) -> None:
    """A stranger's body is not looked at."""
    headers = {"X-API-KEY": "evk_unknown", "Content-Encoding": "nonsense"}
    response = httpx.post(f"{served.base_url}/projects", content=b"x", headers=headers)
    assert response.status_code == 401


def test_a_repeated_body_may_be_compressed_otherwise(served: Served) -> None:
    """An idempotency key stands for what is said, not for how it is packed."""
    body = project("repeated")
    headers = {"Idempotency-Key": "k1"}
    first = served.post(gzip.compress(body, mtime=1), **{"Content-Encoding": "gzip", **headers})
    for again in (
        served.post(body, **headers),
        served.post(gzip.compress(body, 1, mtime=2), **{"Content-Encoding": "gzip", **headers}),
    ):
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.content == first.content


def test_nesting_is_limited(served: Served) -> None:
    """200 levels come back as they were sent, the next is 422, and a hundred thousand are too."""
    with Evrun(api_key=served.key, base_url=served.base_url) as client:
        dataset = client.datasets.create(
            client.projects.create(name="deep").id, name="deep", description=""
        )
    place = f"{served.base_url}/datasets/{dataset.id}/datapoints"
    for levels, status in ((200, 201), (201, 422), (100_000, 422)):
        inner = levels - 3  # the list, the datapoint and its target
        content = b'[{"target": {"a": %s}}]' % (b"[" * inner + b"1" + b"]" * inner)
        response = httpx.post(place, content=content, headers=served.headers)
        assert response.status_code == status, response.text
        if status == 422:
            (complaint,) = response.json()["detail"]
            assert complaint["msg"] == "The body nests deeper than 200 levels"
    listed = httpx.get(place, headers=served.headers)
    assert listed.status_code == 200
    assert b"[" * 197 in listed.content


def test_a_long_address_is_414(served: Served) -> None:
    """Up to the limit it is read; beyond it the server says so, however much longer it is."""
    path = "/v4/projects?unknown="
    for length, status in (
        (ADDRESS_LIMIT - len(path) + 1, 200),
        (ADDRESS_LIMIT - len(path) + 2, 414),
        (HEAD_LIMIT, 414),
        (HEAD_LIMIT * 20, 414),
    ):
        (reply,) = send(served.base_url, request("GET", path + "x" * length, served.headers))
        assert reply.status == status
        assert reply.headers["evrun-capabilities"]
    assert reply.detail == f"The address is longer than {ADDRESS_LIMIT} bytes."


@pytest.mark.parametrize("fields", [1, 1000, 5000])
def test_a_long_head_is_431(served: Served, fields: int) -> None:
    """Few long fields or many short ones."""
    size = HEAD_LIMIT // fields
    headers = {f"X-Field-{n}": "x" * size for n in range(fields)}
    (reply,) = send(served.base_url, request("GET", "/v4/projects", headers))
    assert reply.status == 431
    assert str(HEAD_LIMIT) in reply.detail


def test_a_head_that_drips_is_408(served: Served) -> None:
    """Byte after byte does not help: the whole head has its time."""
    with connect(served.base_url) as connection:
        for byte in request("GET", "/v4/projects", {"X-Slow": "x" * 1000}):
            connection.sendall(bytes([byte]))
            if select.select([connection], [], [], 0.05)[0]:
                break
        (reply,) = replies(received(connection))
    assert reply.status == 408
    assert "longer than 1 s" in reply.detail


def test_a_connection_that_says_nothing_is_closed(served: Served) -> None:
    """Also one that was used before."""
    with connect(served.base_url) as connection:
        assert received(connection) == b""
    keep = request("GET", "/healthz").replace(b"Connection: close\r\n", b"")
    with connect(served.base_url) as connection:
        connection.sendall(keep)
        (reply,) = replies(received(connection))
    assert reply.status == 200


def test_a_body_that_pauses_is_408(served: Served) -> None:
    """Also one of which much has come."""
    with connect(served.base_url) as connection:
        headers = {**served.headers, "Content-Length": str(MIB), "Connection": "keep-alive"}
        connection.sendall(request("POST", "/v4/projects", headers) + bytes(MIB - 1))
        (reply,) = replies(received(connection))
    assert reply.status == 408
    assert f"{MIB - 1} bytes" in reply.detail


@pytest.mark.parametrize("dripping", [False, True])
def test_a_body_that_does_not_come_is_408(served: Served, dripping: bool) -> None:
    """Neither with silence nor with a few bytes a second, and the connection ends."""
    with connect(served.base_url) as connection:
        headers = {**served.headers, "Content-Length": "1000", "Connection": "keep-alive"}
        connection.sendall(request("POST", "/v4/projects", headers))
        if dripping:
            for _ in range(12):
                connection.sendall(b" ")
                if select.select([connection], [], [], 0.1)[0]:
                    break
        (reply,) = replies(received(connection))
    assert reply.status == 408
    assert reply.headers["connection"] == "close"
    assert "too slowly" in reply.detail


def test_a_body_that_nobody_reads_does_not_come_for_ever(served: Served) -> None:
    """After the answer the rest is thrown away for a while, and then the connection is closed."""
    with connect(served.base_url) as connection:
        headers = {"Content-Length": str(100 * MIB), "Connection": "keep-alive"}
        connection.sendall(request("POST", "/v4/projects", headers))
        with pytest.raises(ConnectionError):
            drip(connection)


def drip(connection: socket.socket) -> None:
    for _ in range(300):
        connection.sendall(b" " * 1000)
        time.sleep(0.05)


def test_a_client_that_does_not_take_its_answer_is_let_go(served: Served) -> None:
    """The connection is closed although the answer is not out."""
    with Evrun(api_key=served.key, base_url=served.base_url) as client:
        found = client.projects.create(name="big")
        dataset = client.datasets.create(found.id, name="big", description="")
        for _ in range(12):
            client.datasets.create_datapoints(
                dataset.id, datapoints=[{"inputs": {"q": "x" * 900_000}}]
            )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        address = httpx.URL(served.base_url)
        connection.connect((address.host, address.port))
        path = f"/v4/datasets/{dataset.id}/datapoints?size=100"
        connection.sendall(request("GET", path, served.headers))
        time.sleep(3.5)
        assert len(received(connection)) < 10 * MIB


def test_connections_beyond_the_cap_are_503(served: Served) -> None:
    """With Retry-After, while those within it are served; it is free again when they go."""
    with ExitStack() as stack:
        keep = request("GET", "/healthz").replace(b"Connection: close\r\n", b"")
        connections = [stack.enter_context(connect(served.base_url)) for _ in range(40)]
        for connection in connections:
            connection.sendall(keep)
            answer = b""
            while not answer.endswith(b"}"):  # it comes in two parts
                answer += connection.recv(65536)
        (reply,) = send(served.base_url, request("GET", "/v4/projects", served.headers))
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert reply.headers["connection"] == "close"
        assert reply.headers["evrun-capabilities"]
        assert "too many connections" in reply.detail
        connections[-1].sendall(request("GET", "/v4/projects", served.headers))
        assert connections[-1].recv(65536).startswith(b"HTTP/1.1 200")
    time.sleep(0.2)
    served.lives()


def test_a_key_has_its_rate(tmp_path: Path) -> None:
    """Each key for itself: 429 says when to come back, and the client does."""
    first, second = new_key(tmp_path, "first"), new_key(tmp_path, "second")
    with serving(tmp_path, "--rate-limit", "5/s") as base_url, httpx.Client() as http:

        def ask(key: str) -> httpx.Response:
            return http.get(f"{base_url}/projects", headers={"X-API-KEY": key})

        answers = [ask(first) for _ in range(30)]
        limited = [each for each in answers if each.status_code == 429]
        assert answers[0].status_code == 200
        assert limited
        assert limited[0].headers["Retry-After"] == "1"
        assert "more than 5 requests in 1 s" in limited[0].json()["detail"]
        assert ask(second).status_code == 200
        assert [ask("evk_stranger").status_code for _ in range(20)] == [401] * 20
        with Evrun(api_key=first, base_url=base_url) as client:
            for _ in range(7):
                client.projects.list()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--body-limit", "much"], "Write 10MiB"),
        (["--rate-limit", "fast"], "Write 100/s"),
        (["--max-connections", "0"], "0 is not in the range"),
        (["--client-timeout", "0"], "0.0 is not in the range"),
        (["--ssl-keyfile", __file__], "--ssl-keyfile needs --ssl-certfile"),
    ],
)
def test_an_option_that_makes_no_sense_is_wrong_usage(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    """Status 2, and what to write."""
    result = evrun_process("serve", *arguments, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert said in result.stderr
