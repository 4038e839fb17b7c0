"""Faults on purpose: what a client meets, and what is done or not done, over both databases."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from attrs import frozen

from evrun.server import Database, create_app
from evrun.server.api.faults.injection import MARK
from evrun.server.api.faults.schedule import KINDS
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.testing import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Faults,
    Rule,
    Server,
    Status,
    Truncate,
    seed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen(kw_only=True)
class Wire:
    """A server with faults, and a plain HTTP client of it."""

    kind: str
    http: httpx.Client
    faults: Faults
    path: str

    def post(self, **options: Any) -> httpx.Response:
        """Create a datapoint: nothing keeps a second one like it from being made."""
        return self.http.post(self.path, json={"inputs": {"q": "1"}}, **options)

    def stored(self) -> int:
        """Return how many datapoints there are, without faults."""
        self.faults.clear()
        total: int = self.http.get(self.path).json()["total"]
        return total


def wired(kind: str, http: httpx.Client, faults: Faults) -> Wire:
    """Make a dataset."""
    project = http.post("/projects", json={"name": "p"}).json()["id"]
    body = {"name": "rows", "description": ""}
    dataset = http.post(f"/projects/{project}/datasets", json=body).json()["id"]
    return Wire(kind=kind, http=http, faults=faults, path=f"/datasets/{dataset}/datapoints")


@contextmanager
def embedded(url: str) -> Iterator[Wire]:
    faults = Faults()
    server = EmbeddedServer(Database(url), faults=faults)
    headers = {"X-API-KEY": server.key}
    with httpx.Client(
        transport=server.transport(), base_url=server.base_url, headers=headers
    ) as http:
        yield wired("embedded", http, faults)
    server.close()


@contextmanager
def on_a_socket(url: str) -> Iterator[Wire]:
    with (
        Server(url) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-KEY": server.key}) as http,
    ):
        yield wired("socket", http, server.faults)


@pytest.fixture(params=["socket", "embedded"])
def wire(request: pytest.FixtureRequest, url: str) -> Iterator[Wire]:
    with on_a_socket(url) if request.param == "socket" else embedded(url) as wire:
        yield wire


def test_without_rules_nothing_happens(wire: Wire) -> None:
    """A server that could fail requests does not, until it is told to."""
    assert wire.post().status_code == 201
    assert wire.stored() == 1
    assert wire.faults.happened == []


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
def test_a_status(wire: Wire, when: Any, done: int) -> None:
    """It is answered with what was asked for, and says that it is made up."""
    wire.faults.plan(Rule(Status(503, retry_after=7, when=when)))
    answer = wire.post()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.headers[MARK] == "status"
    assert answer.json() == {
        "detail": f"A fault on purpose: status 503, Retry-After 7 {when} the commit."
    }
    assert "idempotency" in answer.headers["Evrun-Capabilities"]
    assert wire.stored() == done


def test_a_status_without_a_time_to_come_back(wire: Wire) -> None:
    """There is no `Retry-After` unless it is given."""
    wire.faults.plan(Rule(Status(502)))
    assert "Retry-After" not in wire.post().headers


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
def test_a_drop(wire: Wire, when: Any, done: int) -> None:
    """No answer comes; before the commit nothing is left, after it everything."""
    wire.faults.plan(Rule(Drop(when), method="POST"))
    expected = httpx.ReadError if wire.kind == "embedded" else httpx.RemoteProtocolError
    with pytest.raises(expected):
        wire.post()
    assert wire.stored() == done


def test_a_large_body_is_taken_before_it_is_dropped(wire: Wire) -> None:
    """The client could send everything: what it meets does not depend on the size."""
    wire.faults.plan(Rule(Drop("before"), method="POST"))
    expected = httpx.ReadError if wire.kind == "embedded" else httpx.RemoteProtocolError
    with pytest.raises(expected):
        wire.http.post("/projects", json={"name": "x" * 5_000_000})


@pytest.mark.parametrize(("keep", "sent"), [(None, "half"), (3, 3), (0, 0), (10**9, "but one")])
def test_a_truncated_body(wire: Wire, keep: int | None, sent: Any) -> None:
    """The head comes whole and promises the whole body; the request was carried out."""
    whole = len(wire.post().content)
    expected = {"half": whole // 2, "but one": whole - 1}.get(sent, sent)
    wire.faults.plan(Rule(Truncate(keep), method="POST"))
    with wire.http.stream("POST", wire.path, json={"inputs": {"q": "1"}}) as answer:
        assert (answer.status_code, answer.headers["Content-Length"]) == (201, str(whole))
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
        assert answer.num_bytes_downloaded == expected
    assert wire.stored() == 2


def test_an_answer_without_a_body_is_dropped_whole(wire: Wire) -> None:
    """A 204 cannot be truncated, so that its head is kept back too."""
    body = {
        "name": "e",
        "description": "",
        "arguments_type": "target_free",
        "return_type": "boolean",
        "type": "external",
    }
    evaluator = wire.http.post("/evaluators", json=body).json()
    wire.faults.plan(Rule(Truncate(), operation="Evaluators_delete"))
    with pytest.raises(httpx.TransportError):
        wire.http.delete(f"/evaluators/{evaluator['id']}")
    wire.faults.clear()
    assert wire.http.get(f"/evaluators/{evaluator['id']}").status_code == 404


def test_a_duplicate_is_done_twice(wire: Wire) -> None:
    """Both deliveries are whole requests; one answer comes."""
    wire.faults.plan(Rule(Duplicate(), method="POST"))
    assert wire.post().status_code == 201
    assert wire.stored() == 2


def test_a_duplicate_under_a_key_is_done_once(wire: Wire) -> None:
    """The second delivery is answered as a repetition."""
    wire.faults.plan(Rule(Duplicate(), method="POST"))
    answer = wire.post(headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true")
    assert wire.stored() == 1


def test_a_duplicate_carries_the_body(wire: Wire) -> None:
    """Also one that arrives in pieces: the second delivery meets the first one's work."""
    wire.faults.plan(Rule(Duplicate(), method="POST"))
    pieces = (piece for piece in (b'{"name": ', b'"twice"', b"}"))
    answer = wire.http.post("/projects", content=pieces)
    assert answer.status_code == 409, answer.text


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay(wire: Wire, when: Any) -> None:
    """A patient client gets the usual answer."""
    wire.faults.plan(Rule(Delay(0.05, when=when), method="POST"))
    begun = time.monotonic()
    assert wire.post().status_code == 201
    assert time.monotonic() - begun >= 0.05
    assert wire.stored() == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_beyond_the_patience_of_a_client(url: str, when: Any) -> None:
    """Over a socket the request is carried out all the same, as a slow network would."""
    with on_a_socket(url) as wire:
        wire.faults.plan(Rule(Delay(0.2, when=when), method="POST"))
        with pytest.raises(httpx.ReadTimeout):
            wire.post(timeout=0.05)
        wait_until(lambda: wire.stored() == 1)


def wait_until(holds: Any) -> None:
    """Wait for something that happens by itself; the test's time limit ends it."""
    while not holds():
        time.sleep(0.01)


EVERY = [
    Status(503, retry_after=0),
    Status(502, when="after"),
    Delay(0.01),
    Delay(0.01, when="after"),
    Drop("before"),
    Drop("after"),
    Duplicate(),
    Truncate(),
]


@pytest.mark.parametrize("fault", EVERY, ids=str)
def test_a_client_of_ours_logs_once_through_each_kind(url: str, fault: Fault) -> None:
    """What it was told is what is stored, once, and the fault did happen."""
    assert {type(each) for each in EVERY} == set(KINDS.values())
    with Server(url) as server, server.client() as client:
        seeded = seed(client)
        server.faults.plan(Rule(fault, operation="Evaluations_log", nth=1))
        run = client.run(seeded.run.id)
        logged = run.log(seeded.datapoints[0].id, log={"output": "Paris"})
        assert [each.rule.fault for each in server.faults.happened] == [fault]
        server.faults.clear()
        assert [each.id for each in client.logs.iter_all(seeded.project.id)] == [logged.id]


def test_a_rule_leaves_others_alone(wire: Wire) -> None:
    """Only what it names meets it: this operation, the second time."""
    wire.faults.plan(Rule(Status(500), operation="Datasets_createDatapoint", nth=2))
    assert [wire.http.get(wire.path).status_code for _ in range(2)] == [200, 200]
    assert [wire.post().status_code for _ in range(3)] == [201, 500, 201]
    (happened,) = wire.faults.happened
    assert (happened.number, happened.method, happened.path) == (2, "POST", f"/v4{wire.path}")
    assert happened.operation == "Datasets_createDatapoint"


def test_health_tells_the_truth(wire: Wire) -> None:
    """It names the rules, and meets none of them."""
    wire.faults.plan(Rule(Drop("before")), Rule(Duplicate(), method="POST", nth=[1, 2]))
    root = str(wire.http.base_url).removesuffix("/v4/")
    assert wire.http.get(f"{root}/healthz").json()["faults"] == [
        "drop before the commit: every request",
        "duplicate delivery: method=POST nth=1,2",
    ]


def test_a_usual_server_has_no_faults(server: EmbeddedServer) -> None:
    """Neither does its health speak of any."""
    with httpx.Client(transport=server.transport()) as http:
        assert "faults" not in http.get("http://evrun.local/healthz").json()


def test_a_dropped_connection_is_closed(url: str) -> None:
    """On a raw socket: not one byte, and the end."""
    with on_a_socket(url) as wire:
        wire.faults.plan(Rule(Drop("after")))
        assert raw_answer(wire) == b""


def test_a_truncated_answer_is_cut_and_closed(url: str) -> None:
    """On a raw socket: fewer bytes than were promised, and the end."""
    with on_a_socket(url) as wire:
        wire.faults.plan(Rule(Truncate(1)))
        head, _, body = raw_answer(wire).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b"{"


def raw_answer(wire: Wire) -> bytes:
    """Ask without any client, and return all bytes until the connection ends."""
    place = urlsplit(str(wire.http.base_url))
    key = wire.http.headers["X-API-KEY"]
    request = f"GET /v4{wire.path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {key}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(request.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize("fault", [Drop("before"), Drop("after"), Truncate()], ids=str)
def test_a_fault_is_no_defect(url: str, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the fault and complains of nothing else."""
    with on_a_socket(url) as wire:
        wire.faults.plan(Rule(fault, method="POST"))
        with pytest.raises(httpx.TransportError):
            wire.post()
    said = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [(each.name, each.getMessage()) for each in said] == [
        (
            "evrun.server.api.faults",
            f"POST /v4{wire.path} meets a fault on purpose: {fault}: method=POST",
        )
    ]


@pytest.mark.anyio
async def test_a_server_that_cannot_close_connections_says_so(url: str) -> None:
    """Under another runner a drop is an error of the server, and not an answer."""
    faults = Faults()
    faults.plan(Rule(Drop("before")))
    app = create_app(Database(url), faults=faults)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        with pytest.raises(RuntimeError, match=r"Run the application by `evrun serve --faults`"):
            await http.get("http://evrun.test/v4/sessions")
