"""What a call comes to over several attempts, sync and async; waits pass at once."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support.fake_api import BASE_URL, KEY
from _support.fake_clock import FakeClock
from evrun import AsyncEvrun, Evrun, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Answer = httpx.Response | Exception

LOG = f"POST {BASE_URL}/evaluations/evrun_1/log"
ANNOUNCED = {"Evrun-Capabilities": "idempotency=86400"}
LOGGED = {"id": "data_1", "project_id": "pr_1", "session_id": None}


def ok(**headers: str) -> httpx.Response:
    return httpx.Response(201, json=LOGGED, headers=headers)


def status(code: int, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(code, json={"detail": "Not now"}, headers=named)


class Script:
    """Gives one answer after the other, and keeps what was asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        # A new one each time: a response belongs to the client that read it.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr("evrun._client.Clock", lambda: fake)
    return fake


@pytest.fixture(params=["sync", "async"])
def perform(request: pytest.FixtureRequest, clock: FakeClock) -> Callable[..., Any]:
    """Make a call (by default: log) against a script, with the client's settings."""

    def log(client: Evrun | AsyncEvrun) -> Any:
        return client.evaluations.log("evrun_1", datapoint_id="1", log={"output": "x"})

    def sync(script: Script, call: Callable[[Any], Any] = log, **settings: Any) -> Any:
        http = httpx.Client(transport=httpx.MockTransport(script))
        with Evrun(api_key=KEY, base_url=BASE_URL, http_client=http, **settings) as client:
            return call(client)

    async def awaited(script: Script, call: Callable[[Any], Any] = log, **settings: Any) -> Any:
        http = httpx.AsyncClient(transport=httpx.MockTransport(script))
        async with AsyncEvrun(
            api_key=KEY, base_url=BASE_URL, http_client=http, **settings
        ) as client:
            result = call(client)
            return await result if inspect.isawaitable(result) else result

    if request.param == "sync":
        return sync
    return lambda *args, **kwargs: asyncio.run(awaited(*args, **kwargs))


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("busy"),
        httpx.ProxyError("502"),
        status(429),
        status(503, Retry_After="1"),
    ],
    ids=repr,
)
def test_what_was_not_carried_out_is_sent_again(
    perform: Callable[..., Any], clock: FakeClock, failure: Answer
) -> None:
    """Also a POST, to any server, whatever `on_unknown` says."""
    script = Script([failure, ok()])
    assert perform(script, on_unknown="raise").id == "data_1"
    assert len(script.requests) == 2
    assert clock.slept == [1.0 if "Response [503" in repr(failure) else 0.5]


@pytest.mark.parametrize(
    ("failure", "cls"),
    [
        (httpx.ReadTimeout("slow"), errors.AmbiguousTimeoutError),
        (httpx.WriteTimeout("slow"), errors.AmbiguousTimeoutError),
        (httpx.ReadError("reset"), errors.AmbiguousDisconnectError),
        (httpx.RemoteProtocolError("closed"), errors.AmbiguousDisconnectError),
        (status(500), errors.AmbiguousServerError),
        (status(502), errors.AmbiguousServerError),
        (status(503), errors.AmbiguousServerError),
        (status(504, Retry_After="1"), errors.AmbiguousServerError),
    ],
    ids=repr,
)
def test_an_unknown_outcome_of_a_post_is_raised_to_a_server_that_announced_nothing(
    perform: Callable[..., Any],
    clock: FakeClock,
    failure: Answer,
    cls: type[errors.UnknownOutcomeError],
) -> None:
    """It would be logged twice. The error says so, and how to have it otherwise."""
    script = Script([failure])
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        perform(script)
    assert type(caught.value) is cls
    assert str(caught.value).endswith(
        "The server may have carried it out: look before you send it again. Not tried again: this "
        "server has not announced that it recognises a repeated request; "
        'on_unknown="retry" repeats it all the same.'
    )
    assert (caught.value.attempts, clock.slept) == (1, [])
    assert caught.value.idempotency_key == script.requests[0].headers["Idempotency-Key"]


def test_a_server_that_announced_idempotency_is_sent_a_lost_request_again(
    perform: Callable[..., Any], clock: FakeClock
) -> None:
    """The announcement may come with any earlier answer, a failure too; the key stays the same."""
    script = Script([httpx.Response(500, json={}, headers=ANNOUNCED), httpx.ReadError(""), ok()])
    assert perform(script).id == "data_1"
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(script.requests) == 3
    assert len(keys) == 1
    assert clock.slept == [0.5, 1.0]


def test_two_calls_have_two_keys(perform: Callable[..., Any]) -> None:
    """The same call made twice is meant twice."""
    first, second = Script([ok()]), Script([ok()])
    perform(first)
    perform(second)
    assert (
        first.requests[0].headers["Idempotency-Key"]
        != second.requests[0].headers["Idempotency-Key"]
    )


def test_on_unknown_retry_repeats_to_any_server(perform: Callable[..., Any]) -> None:
    """Whoever would rather have it twice than not at all says so."""
    script = Script([httpx.ReadError(""), ok()])
    assert perform(script, on_unknown="retry").id == "data_1"


def test_on_unknown_raise_trusts_no_announcement(perform: Callable[..., Any]) -> None:
    """Whoever would rather look says that."""
    script = Script([httpx.Response(500, json={}, headers=ANNOUNCED)])
    with pytest.raises(errors.UnknownOutcomeError, match='on_unknown is "raise"'):
        perform(script, on_unknown="raise")
    assert len(script.requests) == 1


HARMLESS: dict[str, Callable[[Any], Any]] = {
    "GET": lambda client: client.evaluations.get("evrun_1"),
    "PATCH status": lambda client: client.evaluations.update_status("evrun_1", status="completed"),
    "PATCH evaluators": lambda client: client.evaluations.add_evaluators(
        "evrun_1", evaluator_ids=["evfn_1"]
    ),
    "PATCH log": lambda client: client.logs.update("data_1", output="x"),
    "PATCH log by reference": lambda client: client.logs.update_by_reference("r", output="x"),
    "DELETE": lambda client: client.evaluators.delete("evfn_1"),
}


@pytest.mark.parametrize("call", HARMLESS.values(), ids=HARMLESS)
def test_what_may_happen_twice_is_always_sent_again(
    perform: Callable[..., Any], call: Callable[[Any], Any]
) -> None:
    """Reading, deleting, and changes that set what is set already."""
    script = Script([status(500)] * 4)
    with pytest.raises(errors.ServerError) as caught:
        perform(script, call, on_unknown="raise")
    assert not isinstance(caught.value, errors.UnknownOutcomeError)
    assert str(caught.value).endswith(
        "It is safe to ask again. Gave up after 4 attempts in 3.5 s: 3 retries used up."
    )
    assert len(script.requests) == caught.value.attempts == 4


def test_a_patch_that_makes_a_version_is_not(perform: Callable[..., Any]) -> None:
    """Changing an evaluator twice is two changes."""
    script = Script([httpx.Response(500)])
    with pytest.raises(errors.UnknownOutcomeError):
        perform(script, lambda client: client.evaluators.update("evfn_1", name="x"))


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 413, 418, 422, 301, 299])
def test_a_refusal_is_final(perform: Callable[..., Any], clock: FakeClock, code: int) -> None:
    """Sending the same again would get the same."""
    script = Script([status(code)])
    with pytest.raises(errors.ResponseError) as caught:
        perform(script, on_unknown="retry")
    assert (caught.value.attempts, clock.slept) == (1, [])


def test_a_certificate_that_is_not_trusted_is_final(perform: Callable[..., Any]) -> None:
    """Trying again mends no certificate; the message says what does."""
    script = Script([httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")])
    with pytest.raises(errors.ConnectError, match=r"Is this the right server\?.*SSL_CERT_FILE"):
        perform(script)


def test_after_a_lost_answer_nothing_sent_says_nothing(perform: Callable[..., Any]) -> None:
    """That the last attempt did not connect does not mean that the first one did no work."""
    script = Script(
        [
            httpx.ReadTimeout("slow"),
            httpx.ConnectError("refused"),
            status(429),
            httpx.ConnectError("refused"),
        ]
    )
    with pytest.raises(errors.AmbiguousTimeoutError) as caught:
        perform(script, on_unknown="retry")
    assert str(caught.value) == (
        f"{LOG}: no answer within 60 s. The server may have carried it out: look before you send "
        "it again. Gave up after 4 attempts in 3.5 s: 3 retries used up."
    )


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda client: client.projects.create(name="x"), 409),
        (lambda client: client.evaluators.delete("evfn_1"), 404),
    ],
    ids=["create", "delete"],
)
def test_a_refusal_after_a_lost_answer_may_be_ones_own_work(
    perform: Callable[..., Any], call: Callable[[Any], Any], code: int
) -> None:
    """A name that is taken, an object that is gone: the message does not hide the first attempt."""
    with pytest.raises(errors.StatusError) as caught:
        perform(Script([httpx.ReadError("reset"), status(code)]), call, on_unknown="retry")
    assert "An earlier attempt got no answer and may have been carried out." in str(caught.value)


def test_a_time_beyond_reason_is_handed_to_the_caller(
    perform: Callable[..., Any], clock: FakeClock
) -> None:
    """More than 120 s is not waited for; `retry_after` says how long it would have been."""
    script = Script([status(429, Retry_After="600")])
    with pytest.raises(errors.RateLimitedError) as caught:
        perform(script)
    assert caught.value.retry_after == 600
    assert str(caught.value).endswith(
        "Not tried again: the server asks to wait 600 s, longer than 120 s."
    )
    assert clock.slept == []


def test_the_servers_times_are_waited_for(perform: Callable[..., Any], clock: FakeClock) -> None:
    """Each answer names its own."""
    date = "Thu, 01 Jan 2026 00:00:12 GMT"  # the fake clock starts at midnight
    script = Script(
        [
            status(429, Retry_After="3"),
            status(429, retry_after_ms="250"),
            status(503, Retry_After=date),
            ok(),
        ]
    )
    assert perform(script).id == "data_1"
    assert clock.slept == [3.0, 0.25, 8.75]


def test_x_should_retry_goes_both_ways(perform: Callable[..., Any]) -> None:
    """A server may ask for a 409 again, and forbid a 429."""
    assert perform(Script([status(409, x_should_retry="true"), ok()])).id == "data_1"
    with pytest.raises(errors.RateLimitedError, match="asks not to be asked again"):
        perform(Script([status(429, x_should_retry="false")]))


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (5, 6)])
def test_retries_are_counted_right(
    perform: Callable[..., Any], retries: int, requests: int
) -> None:
    """`max_retries=5` means six requests and not one more."""
    script = Script([status(429)] * 10)
    with pytest.raises(errors.RateLimitedError) as caught:
        perform(script, max_retries=retries)
    assert len(script.requests) == caught.value.attempts == requests


def test_a_deadline_ends_the_waiting(perform: Callable[..., Any], clock: FakeClock) -> None:
    """The third wait would end after it, so it is not begun."""
    script = Script([status(429)] * 10)
    with pytest.raises(errors.RateLimitedError) as caught:
        perform(script, deadline=2)
    assert str(caught.value).endswith(
        "Gave up after 3 attempts in 1.5 s: the deadline is nearer than the wait of 2 s."
    )
    assert clock.slept == [0.5, 1.0]


def test_a_deadline_shortens_every_limit(perform: Callable[..., Any]) -> None:
    """No read waits longer than what is left of the call."""
    script = Script([status(429), ok()])
    perform(script, deadline=3)
    limits = [request.extensions["timeout"] for request in script.requests]
    assert limits == [
        {"connect": 3, "read": 3, "write": 3, "pool": 3},
        {"connect": 2.5, "read": 2.5, "write": 2.5, "pool": 2.5},
    ]


def test_every_decision_is_logged_with_its_reason(
    perform: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """At the level INFO, to the logger `evrun`."""
    caplog.set_level(logging.INFO, "evrun")
    perform(Script([status(429), ok()]))
    with pytest.raises(errors.UnknownOutcomeError):
        perform(Script([httpx.ReadError("reset")]))
    assert [record.getMessage() for record in caplog.records if record.name == "evrun"] == [
        f"{LOG}: attempt 1 failed, next in 0.5 s: status 429: the server did not carry it out",
        f"{LOG}: gave up after attempt 1: this server has not announced that it recognises a "
        'repeated request; on_unknown="retry" repeats it all the same',
    ]


def test_no_attempt_gets_a_limit_below_zero(
    perform: Callable[..., Any], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a wait through the deadline an attempt gets a moment: sockets refuse less."""
    monkeypatch.setattr(clock, "sleep", lambda _: setattr(clock, "passed", 60.0))
    script = Script([status(429), ok()])
    perform(script, deadline=3)
    limits = script.requests[1].extensions["timeout"]
    assert limits == dict.fromkeys(("connect", "read", "write", "pool"), 0.001)
