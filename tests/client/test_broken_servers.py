"""What a misbehaving server does beyond a single answer: to connections, memory, time and keys."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from _support import misbehaving_server as bad
from _support.blackhole import blackhole
from _support.fake_api import KEY
from _support.misbehaving_server import ANNOUNCEMENT, answer, good, misbehaving
from evrun import AsyncEvrun, Evrun, errors

if TYPE_CHECKING:
    from _support.client_kinds import Method, Way
    from _support.misbehaving_server import Behaviour, Wire

MB = 1024 * 1024

# Requests that never left.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_listening_is_tried_again(method: Method, way: Way, slept: list[float]) -> None:
    """A refused connection is known unsent: it is tried again whatever the request changes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.ConnectError, match=r"cannot connect \(.*\)\. Nothing was sent\. Is"):
        way.call(method, f"http://127.0.0.1:{port}/v4", max_retries=0)
    with pytest.raises(errors.ConnectError) as caught:
        way.call(method, f"http://127.0.0.1:{port}/v4")
    assert caught.value.attempts == 4
    assert slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_does_not_come_about_is_tried_again(
    method: Method, way: Way, slept: list[float]
) -> None:
    """No connection in time is known unsent, although all limits are the same here."""
    with (
        blackhole() as origin,
        pytest.raises(errors.ConnectTimeoutError, match=r"within 0\.2 s\. Nothing was") as caught,
    ):
        way.call(method, f"{origin}/v4", timeout=0.2, max_retries=1)
    assert caught.value.attempts == 2
    assert not isinstance(caught.value, errors.UnknownOutcomeError)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_deadline_while_connecting_knows_that_nothing_was_sent(method: Method, way: Way) -> None:
    """What ends by the deadline says as much as what ends by its own limit."""
    with (
        blackhole() as origin,
        pytest.raises(
            errors.ConnectTimeoutError, match=r"deadline( of 0\.3 s)?\. Nothing was sent"
        ),
    ):
        way.call(method, f"{origin}/v4", deadline=0.3, max_retries=0)


def test_a_busy_pool_is_named(way: Way) -> None:
    """Whoever waits too long for a free connection has sent nothing; later there is room again."""
    held, go_on = threading.Event(), threading.Event()

    def late(wire: Wire) -> None:
        held.set()
        go_on.wait(30)
        good()(wire)

    settings: dict[str, Any] = {"api_key": KEY, "concurrency": 1, "transport": way.transport}
    refused = pytest.raises(errors.PoolTimeoutError, match=r"no free connection within 0\.1 s")

    def sync(base_url: str) -> None:
        with Evrun(**settings, base_url=base_url) as client, ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.projects.list)
            assert held.wait(30)
            hurried = client.with_options(timeout=0.1, max_retries=0)
            with refused:
                hurried.evaluations.log("evrun_1", datapoint_id="1", log={})
            go_on.set()
            first.result()
            client.evaluations.log("evrun_1", datapoint_id="1", log={})

    async def awaited(base_url: str) -> None:
        async with AsyncEvrun(**settings, base_url=base_url) as client:
            first = asyncio.create_task(client.projects.list())
            assert await asyncio.to_thread(held.wait, 30)
            hurried = client.with_options(timeout=0.1, max_retries=0)
            with refused:
                await hurried.evaluations.log("evrun_1", datapoint_id="1", log={})
            go_on.set()
            await first
            await client.evaluations.log("evrun_1", datapoint_id="1", log={})

    with misbehaving(late, good()) as server:
        if way.kind == "sync":
            sync(server.base_url)
        else:
            asyncio.run(awaited(server.base_url))
        assert [each.method for each in server.received] == ["GET", "POST"]


# Deadlines.


@pytest.mark.parametrize("behaves", [bad.endless_head, bad.endless_body, bad.silent])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_deadline_ends_an_answer_without_end(
    method: Method, behaves: Behaviour, way: Way
) -> None:
    """However the bytes drip, a call is over when its deadline is, and was sent once."""
    error = errors.AmbiguousTimeoutError if method == "POST" else errors.RequestTimeoutError
    with misbehaving(good(ANNOUNCEMENT), behaves) as server:
        start = time.monotonic()
        with pytest.raises(error, match=r"no answer within the deadline of 0\.4 s") as caught:
            way.call(method, server.base_url, before=True, deadline=0.4)
        assert 0.3 < time.monotonic() - start < 2
        assert (type(caught.value), caught.value.attempts) == (error, 1)
        assert len(server.received) == 2


# Keys and where they go.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_origin_is_not_followed(
    method: Method, status: int, way: Way, slept: list[float]
) -> None:
    """The other origin gets no request at all, and so no key."""
    with misbehaving(good()) as other:
        with misbehaving(answer(status, f"Location: {other.base_url}/projects")) as server:
            with pytest.raises(errors.RedirectError, match=f"it points to {other.base_url}"):
                way.call(method, server.base_url)
            assert [each.headers["x-api-key"] for each in server.received] == [KEY]
        assert (other.received, other.connections) == ([], 0)


def test_nothing_but_the_request_is_sent(way: Way) -> None:
    """No transport adds a header of its own; a cookie comes back once, from httpx."""
    with misbehaving(good("Set-Cookie: id=1; Path=/")) as server:
        way.call("POST", server.base_url, before=True)
        headers = server.received[1].headers
    assert set(headers) == {
        *("host", "accept", "accept-encoding", "connection", "user-agent", "x-api-key"),
        *("content-type", "content-length", "idempotency-key", "cookie"),
    }
    assert headers["cookie"] == "id=1"
    assert headers["user-agent"].startswith("evrun/")


# Connections that are kept.


def test_connections_are_kept(way: Way) -> None:
    """Calls that follow each other share a connection."""
    with misbehaving(good()) as server:
        way.call("POST", server.base_url, before=True)
        assert [each.connection for each in server.received] == [1, 1]


def test_a_connection_that_was_closed_meanwhile_is_not_used(way: Way, slept: list[float]) -> None:
    """A server may close what nobody uses: the next call is sent once, over a new connection."""

    def last(wire: Wire) -> None:
        good()(wire)  # without `Connection: close`: the client learns it when it is closed
        wire.close()

    with misbehaving(last, good()) as server:
        way.call("POST", server.base_url, before=True, pause=0.1)
        assert [each.connection for each in server.received] == [1, 2]
    assert slept == []


@pytest.mark.parametrize("announced", [False, True], ids=["not announced", "announced"])
def test_a_connection_that_closes_under_the_next_request(
    announced: bool, way: Way, slept: list[float]
) -> None:
    """Nobody knows whether that request was read: it is repeated only where that is safe."""
    hello = good(*([ANNOUNCEMENT] if announced else []))
    with misbehaving(hello, bad.closed_before_the_head, good()) as server:
        if announced:
            assert way.call("POST", server.base_url, before=True).id == "data_1"
        else:
            with pytest.raises(errors.AmbiguousDisconnectError) as caught:
                way.call("POST", server.base_url, before=True)
            assert caught.value.attempts == 1
        over = [each.connection for each in server.received]
    assert over == ([1, 1, 2] if announced else [1, 1])


def test_what_is_left_of_an_answer_is_no_answer(way: Way, slept: list[float]) -> None:
    """After an answer that was longer than it said, the next call gets an answer of its own."""

    def longer(wire: Wire) -> None:
        status, body = bad.usual(wire.method)
        wire.send(bad.head(status, length=len(body)) + body + b'{"left": "over"}')

    with misbehaving(longer, good()) as server:
        assert way.call("GET", server.base_url, before=True).total == 0
        assert server.received[-1].connection == 2


# Large bodies.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_huge_refusal_is_not_read_to_its_end(
    method: Method, way: Way, slept: list[float]
) -> None:
    """An error carries 64 KiB of 100 MB; the rest is not even received."""
    with misbehaving(bad.huge(400)) as server:
        with pytest.raises(errors.BadRequestError) as caught:
            way.call(method, server.base_url)
        assert (len(caught.value.body), caught.value.attempts) == (64 * 1024, 1)
        assert server.bytes_sent < 30 * MB  # what the system's buffers hold


def test_a_huge_success_is_read(way: Way) -> None:
    """A success counts whole, however large."""
    with misbehaving(bad.huge_success) as server:
        assert way.call("POST", server.base_url).id == "data_1"
        assert server.bytes_sent > 100 * MB


def test_an_answer_that_comes_before_the_body_was_read(way: Way, slept: list[float]) -> None:
    """A server may refuse a large log at its head: the refusal is what the caller gets."""
    with misbehaving(bad.answered_early) as server:
        with pytest.raises(errors.ContentTooLargeError, match="answered 413: Too much") as caught:
            way.call("POST", server.base_url, log={"output": "a" * 4 * MB})
        assert (caught.value.attempts, len(server.received)) == (1, 1)
