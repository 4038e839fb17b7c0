"""`with_options`: what a view changes, and what it leaves alone, over real requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from _support.fake_api import BASE_URL, KEY
from _support.loopback_server import PAGE, Answer, Loopback, Seen, running
from _support.sync_and_async import ask, log
from evrun import (
    AsyncEvrun,
    ConfigurationError,
    Evrun,
    InvalidRequestError,
    RequestTimeoutError,
    UnknownOutcomeError,
)
from evrun._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _support.sync_and_async import Kind


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name: Kind = request.param
    return name


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


@pytest.fixture
def client(server: Loopback) -> Iterator[Evrun]:
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        yield client


def send_log(client: Evrun, **log: Any) -> None:
    client.evaluations.log("evrun_1", datapoint_id="1", log=log)


def query(seen: Seen) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(seen.path).query)


def test_a_view_changes_nothing_in_its_origin(client: Evrun, server: Loopback) -> None:
    """The original stays as it is, whatever its views ask for."""
    before = client._config
    view = client.with_options(
        timeout=1,
        deadline=30,
        max_retries=0,
        on_unknown="raise",
        extra_headers={"X-Team": "search"},
        extra_query={"dry": True},
        extra_body={"note": "x"},
    )
    send_log(view)
    send_log(client)
    with_view, without = server.seen
    assert (with_view.headers["x-team"], query(with_view)) == ("search", [("dry", "true")])
    assert with_view.json == {"datapoint_id": "1", "log": {}, "note": "x"}
    assert ("x-team" in without.headers, query(without)) == (False, [])
    assert without.json == {"datapoint_id": "1", "log": {}}
    assert client._config is before


def test_views_of_views_add_up(client: Evrun, server: Loopback) -> None:
    """A view of a view has the changes of both; the later one wins."""
    first = client.with_options(
        timeout=9,
        max_retries=1,
        extra_headers={"X-A": "1", "X-B": "1"},
        extra_query={"q": [1, 2]},
        extra_body={"a": 1, "b": 1},
    )
    second = first.with_options(
        timeout=3, extra_headers={"X-B": "2"}, extra_query={"q": "3"}, extra_body={"b": 2}
    )
    send_log(second)
    (seen,) = server.seen
    assert (seen.headers["x-a"], seen.headers["x-b"]) == ("1", "2")
    assert query(seen) == [("q", "1"), ("q", "2"), ("q", "3")]
    assert seen.json == {"datapoint_id": "1", "log": {}, "a": 1, "b": 2}
    options = second._config.options
    assert (options.timeout, options.retry.max_retries) == (httpx.Timeout(3), 1)


def test_a_view_shares_the_connections(kind: Kind, server: Loopback) -> None:
    """Views send over the pool of their origin, and closing one closes nothing."""

    async def awaited() -> None:
        async with AsyncEvrun(api_key=KEY, base_url=server.base_url) as client:
            for _ in range(5):
                async with client.with_options(timeout=5) as view:
                    await view.projects.list()
                assert view._pool is client._pool
            await client.projects.list()

    if kind == "async":
        asyncio.run(awaited())
    else:
        with Evrun(api_key=KEY, base_url=server.base_url) as client:
            for _ in range(5):
                with client.with_options(timeout=5) as view:
                    view.projects.list()
                assert view._pool is client._pool
            client.projects.list()
    assert (server.connections, len(server.seen)) == (1, 6)


def test_a_view_ends_with_its_origin(client: Evrun) -> None:
    """A view of a closed client is closed."""
    view = client.with_options(timeout=5)
    view.projects.list()
    client.close()
    with pytest.raises(ConfigurationError, match="This client was closed"):
        view.projects.list()


def test_what_one_view_learns_of_the_server_all_know(server: Loopback) -> None:
    """An announcement that came through a view counts for the client, and the other way round."""
    server.answer = lambda _: Answer(
        body=PAGE, headers=(("Evrun-Capabilities", "idempotency=86400"),)
    )
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        client.with_options(timeout=5).projects.list()
        assert client._announced.idempotency
        assert client.with_options()._announced.idempotency


# What is sent.


def test_every_request_says_who_sends_it(kind: Kind, server: Loopback) -> None:
    """The User-Agent is ours, with the version; `extra_headers` go before it."""
    ask(kind, server.base_url)
    assert server.seen[0].headers["user-agent"] == f"evrun/{__version__}"
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        client.with_options(extra_headers={"User-Agent": "mine/1"}).projects.list()
    assert server.seen[1].headers["user-agent"] == "mine/1"


def test_a_key_of_ones_own_goes_before_ours(client: Evrun, server: Loopback) -> None:
    """With `Idempotency-Key` in `extra_headers`, a POST that was given up can be sent again."""
    server.answer = lambda _: Answer(status=500)
    with pytest.raises(UnknownOutcomeError) as caught:
        send_log(client)
    key = caught.value.idempotency_key
    assert key is not None
    with pytest.raises(UnknownOutcomeError) as again:
        send_log(client.with_options(extra_headers={"Idempotency-Key": key}))
    assert [seen.headers["idempotency-key"] for seen in server.seen] == [key, key]
    assert again.value.idempotency_key == key


def test_queries_beside_ours_are_kept(client: Evrun, server: Loopback) -> None:
    """`extra_query` adds to what a method sends, encoded once."""
    client.with_options(extra_query={"tag": ["ä b", "c&d"], "n": 1.5, "on": False}).logs.list(
        "pr_1", search="x y", page=2
    )
    pairs = query(server.seen[0])
    assert ("search", "x y") in pairs
    assert pairs[-4:] == [("tag", "ä b"), ("tag", "c&d"), ("n", "1.5"), ("on", "false")]


def test_null_and_nothing_are_two_things(client: Evrun, server: Loopback) -> None:
    """None as an argument is left out; in a mapping, and in `extra_body`, it is sent as null."""
    server.answer = lambda _: Answer(status=404, body={"detail": "No such log."})

    def sent(view: Evrun, output: str | None) -> Any:
        with pytest.raises(Exception, match="No such log"):
            view.logs.update("data_1", output=output, duration=2.0)
        return server.seen[-1].json

    assert sent(client, None) == {"duration": 2.0}
    assert sent(client, "Paris") == {"duration": 2.0, "output": "Paris"}
    null = client.with_options(extra_body={"output": None})
    assert sent(null, None) == {"duration": 2.0, "output": None}
    with pytest.raises(Exception, match="No such log"):
        client.evaluations.log(
            "evrun_1", datapoint_id="1", log={"output": None, "inputs": {}}, evaluatee_id=None
        )
    assert query(server.seen[-1]) == []
    assert server.seen[-1].json == {"datapoint_id": "1", "log": {"output": None, "inputs": {}}}


def test_a_body_that_is_none_takes_no_fields(client: Evrun, server: Loopback) -> None:
    """`extra_body` on a call without a JSON object is our error, before anything is sent."""
    view = client.with_options(extra_body={"a": 1})
    with pytest.raises(InvalidRequestError) as caught:
        view.projects.get("pr_1")
    assert str(caught.value) == (
        f"extra_body: GET {server.base_url}/projects/pr_1 has no JSON object that fields could be "
        "added to."
    )
    assert server.seen == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"extra_headers": {"X-A": "line\nbreak"}},
            "extra_headers: the value of 'X-A' is not one that an HTTP header can carry. "
            "Pass printable ASCII text without white space around it.",
        ),
        (
            {"extra_headers": {"X-Ä": "a"}},
            "extra_headers: 'X-Ä' cannot be the name of an HTTP header. "
            "Use letters, digits and '-'.",
        ),
        (
            {"extra_query": {"q": {}}},
            "extra_query: 'q': {} is not a text, number or bool that an address can carry.",
        ),
        ({"extra_body": {1: "a"}}, "extra_body: 1 is not a str, as every name must be."),
        ({"extra_body": [("a", 1)]}, "extra_body is of type list: expected a mapping."),
        ({"max_retries": -1}, "max_retries=-1: expected a whole number, 0 or more."),
        (
            {"deadline": 0},
            "deadline=0: expected a number of seconds, more than 0 and at most 2,000,000.",
        ),
        (
            {"timeout": "5"},
            "timeout='5': expected a number of seconds, more than 0 and at most 2,000,000; or an "
            "httpx.Timeout, in which None is no limit.",
        ),
        ({"on_unknown": "guess"}, 'on_unknown=\'guess\': expected "retry" or "raise".'),
    ],
    ids=str,
)
def test_options_that_cannot_be_followed_are_refused_at_once(
    options: dict[str, Any], message: str
) -> None:
    """A view that could not send is never made."""
    for cls in (Evrun, AsyncEvrun):
        with pytest.raises(ConfigurationError) as caught:
            cls(api_key=KEY, base_url=BASE_URL).with_options(**options)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra_body": {"a": {"b": [b"x"]}}}, "extra_body.a.b[0]: JSON has no bytes; pass value."),
        ({"extra_body": {"a": float("nan")}}, "extra_body.a: nan cannot be sent as JSON; send a f"),
    ],
    ids=str,
)
def test_what_is_no_json_is_refused_at_once_by_its_place(
    options: dict[str, Any], message: str
) -> None:
    """A view that could not send is never made; what `test_plain` lists is refused here too."""
    for cls in (Evrun, AsyncEvrun):
        with pytest.raises(InvalidRequestError) as caught:
            cls(api_key=KEY, base_url=BASE_URL).with_options(**options)
        assert str(caught.value).startswith(message)


# Deadlines.


def test_a_deadline_ends_a_dripping_answer(kind: Kind, server: Loopback) -> None:
    """Bytes that come one by one outlive every read limit, and not the deadline."""
    server.answer = lambda _: Answer(body=PAGE, drip=0.1)
    with pytest.raises(RequestTimeoutError) as caught:
        ask(kind, server.base_url, deadline=0.3, timeout=5)
    assert "no answer within the deadline of 0.3 s. It is safe to ask again." in str(caught.value)
    assert 0.3 <= caught.value.elapsed < 3
    assert (caught.value.attempts, len(server.seen)) == (1, 1)


def test_a_deadline_over_a_dripping_write_says_that_it_may_have_happened(
    kind: Kind, server: Loopback
) -> None:
    """The same for a POST: nobody knows, and the error says so."""
    server.answer = lambda _: Answer(status=201, body=PAGE, drip=0.1)
    with pytest.raises(UnknownOutcomeError, match="look before you send it again"):
        log(kind, server.base_url, deadline=0.3, timeout=5)
    assert len(server.seen) == 1


def test_a_deadline_that_is_kept_changes_nothing(kind: Kind, server: Loopback) -> None:
    """With time enough, a slow answer is an answer."""
    server.answer = lambda _: Answer(body=PAGE, drip=0.001)
    assert ask(kind, server.base_url, deadline=30) == 0


def test_after_a_deadline_the_client_goes_on(server: Loopback) -> None:
    """An attempt that was left behind takes nothing from the next."""
    slow = Answer(body=PAGE, drip=0.05)
    server.answer = lambda seen: slow if "x-slow" in seen.headers else Answer(body=PAGE)
    with Evrun(api_key=KEY, base_url=server.base_url, concurrency=2) as client:
        with pytest.raises(RequestTimeoutError):
            client.with_options(deadline=0.2, extra_headers={"X-Slow": "1"}).projects.list()
        assert client.projects.list().total == 0
        assert client.with_options(deadline=30).projects.list().total == 0
