"""Middleware: around every attempt, inside the retry loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support.fake_api import BASE_URL, KEY
from _support.loopback_server import LOGGED, PAGE, Answer, Loopback, Seen, running
from _support.sync_and_async import ask, log
from evrun import (
    AsyncEvrun,
    DecodeError,
    DisconnectedError,
    Evrun,
    NotFoundError,
    UnknownOutcomeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _support.sync_and_async import Kind


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name: Kind = request.param
    return name


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


def middleware(
    kind: Kind,
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None,
    after: Callable[[httpx.Response], httpx.Response | None] = lambda _: None,
) -> Any:
    """Return one of the kind: what the two functions return takes the place of the answer."""

    def sync(request: httpx.Request, send: Any) -> httpx.Response:
        answer = before(request) or send(request)
        return after(answer) or answer

    async def awaited(request: httpx.Request, send: Any) -> httpx.Response:
        answer = before(request) or await send(request)
        return after(answer) or answer

    return sync if kind == "sync" else awaited


def busy_twice(seen: Seen) -> Answer:
    """Decline two attempts and take the third; the attempts count themselves."""
    if seen.headers["x-attempt"] == "3":
        return Answer(status=201, body=LOGGED)
    return Answer(status=429, headers=(("retry-after-ms", "1"),))


def test_it_surrounds_every_attempt(kind: Kind, server: Loopback) -> None:
    """It is called once for each attempt, with a request of its own and that attempt's answer."""
    statuses: list[int] = []

    def count(request: httpx.Request) -> None:
        assert "x-attempt" not in request.headers
        request.headers["X-Attempt"] = str(len(statuses) + 1)

    server.answer = busy_twice
    log(
        kind,
        server.base_url,
        middleware=[middleware(kind, count, lambda answer: statuses.append(answer.status_code))],
    )
    assert statuses == [429, 429, 201]
    assert [seen.headers["x-attempt"] for seen in server.seen] == ["1", "2", "3"]
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1


def test_the_first_is_the_outermost(kind: Kind, server: Loopback) -> None:
    """They are passed in order on the way out, and in reverse on the way back."""
    order: list[str] = []

    def named(name: str) -> Any:
        return middleware(
            kind, lambda _: order.append(f"{name} out"), lambda _: order.append(f"{name} back")
        )

    ask(kind, server.base_url, middleware=[named("a"), named("b")])
    assert order == ["a out", "b out", "b back", "a back"]


def test_it_sees_the_answer_read(kind: Kind, server: Loopback) -> None:
    """Body and headers are there, and may be replaced."""
    bodies: list[bytes] = []

    def replace(answer: httpx.Response) -> httpx.Response:
        bodies.append(answer.content)
        return httpx.Response(200, json={**answer.json(), "total": 7})

    assert ask(kind, server.base_url, middleware=[middleware(kind, after=replace)]) == 7
    assert b'"total": 0' in bodies[0]


def test_it_may_answer_by_itself(kind: Kind) -> None:
    """An answer of its own counts as the server's, and nothing is sent."""
    cached = middleware(kind, lambda _: httpx.Response(200, json=PAGE))
    assert ask(kind, "http://127.0.0.1:1/v4", middleware=[cached]) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, '{"detail": "Not here"}'), NotFoundError),
        ((200, "no JSON"), DecodeError),
        ((200, '{"no": "page"}'), DecodeError),
    ],
    ids=["refusal", "no json", "no page"],
)
def test_an_answer_of_its_own_is_held_to_the_contract(
    kind: Kind, answer: tuple[int, str], error: type[Exception]
) -> None:
    """What it answers is checked as an answer from the wire is."""
    with pytest.raises(error, match=f"GET {BASE_URL}/projects"):
        ask(
            kind,
            BASE_URL,
            middleware=[middleware(kind, lambda _: httpx.Response(answer[0], text=answer[1]))],
        )


def raising(error: Exception) -> Callable[[httpx.Request], None]:
    def function(_: httpx.Request) -> None:
        raise error

    return function


def test_an_error_of_httpx_is_the_outcome_of_the_attempt(kind: Kind) -> None:
    """It decides about a retry, and comes out under our names."""
    lost = raising(httpx.ReadError("pulled the plug"))
    with pytest.raises(DisconnectedError, match="pulled the plug") as caught:
        ask(kind, BASE_URL, middleware=[middleware(kind, lost)], max_retries=0)
    assert caught.value.attempts == 1
    with pytest.raises(UnknownOutcomeError, match="look before you send it again"):
        log(kind, BASE_URL, middleware=[middleware(kind, lost)])


@pytest.mark.parametrize("deadline", [None, 30.0])
@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), KeyError("mine"), TypeError("mine"), RuntimeError("mine")],
    ids=str,
)
def test_every_other_error_ends_the_call_as_it_is(
    kind: Kind, error: Exception, deadline: float | None
) -> None:
    """What a middleware raises of its own reaches the caller: not renamed, not tried again."""
    calls: list[httpx.Request] = []

    def fail(request: httpx.Request) -> None:
        calls.append(request)
        raise error

    with pytest.raises(type(error)) as caught:
        log(kind, BASE_URL, middleware=[middleware(kind, fail)], deadline=deadline)
    assert caught.value is error
    assert len(calls) == 1


def test_a_hook_of_the_users_own_client_is_heard_too(server: Loopback) -> None:
    """The same for an event hook of an `http_client`."""
    error = ValueError("mine")
    hooks = {"request": [raising(error)]}
    with (
        httpx.Client(event_hooks=hooks) as http_client,
        pytest.raises(ValueError, match="mine") as caught,
    ):
        log("sync", server.base_url, http_client=http_client)
    assert caught.value is error


def test_views_have_the_middleware_of_their_origin(kind: Kind, server: Loopback) -> None:
    """Middleware belongs to the connections that views share."""
    seen: list[str] = []
    noted = middleware(kind, lambda request: seen.append(request.headers["X-View"]))

    async def awaited() -> None:
        async with AsyncEvrun(api_key=KEY, base_url=server.base_url, middleware=[noted]) as client:
            await client.with_options(extra_headers={"X-View": "1"}).projects.list()

    if kind == "async":
        asyncio.run(awaited())
    else:
        with Evrun(api_key=KEY, base_url=server.base_url, middleware=[noted]) as client:
            client.with_options(extra_headers={"X-View": "1"}).projects.list()
    assert seen == ["1"]
