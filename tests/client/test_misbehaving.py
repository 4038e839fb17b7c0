"""A really misbehaving server, against both clients over both transports.

A fate is the same everywhere: whether an attempt is known unsent, declined, final or unknown, and
so how many requests reach the server, and whether the error says that the outcome is unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from attrs import field, frozen

from _support import misbehaving_server as bad
from _support.client_kinds import WAYS
from _support.misbehaving_server import ANNOUNCEMENT, answer, good, html
from evrun import errors
from evrun._transport.retry import Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from _support.client_kinds import Method, Way
    from _support.misbehaving_server import Behaviour

Disconnected = errors.DisconnectedError, errors.AmbiguousDisconnectError
TimedOut = errors.RequestTimeoutError, errors.AmbiguousTimeoutError
ServerFailed = errors.ServerError, errors.AmbiguousServerError


@frozen(kw_only=True)
class Row:
    """What a behaviour leads to."""

    name: str
    behaves: Behaviour
    fate: Fate | None
    """None is a success."""
    error: tuple[type[errors.RequestError], type[errors.RequestError]] | None = None
    """The error of a GET, and of a POST where it differs."""
    says: str = ""
    """A regular expression for what the error says over httpx."""
    fast_says: str = ""
    """The same over pyreqwest, which has words of its own for broken connections."""
    status: int | None = None
    reached: bool = True
    """Whether the request is read at all."""
    settings: dict[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def retries(self) -> int:
        return int(self.settings.get("max_retries", 3))


def row(  # noqa: PLR0917 - the columns of a table
    name: str,
    behaves: Behaviour,
    fate: Fate | None = None,
    error: type[errors.RequestError] | tuple[Any, Any] | None = None,
    says: str = "",
    fast_says: str = "",
    **more: Any,
) -> Row:
    pair = (error, error) if isinstance(error, type) else error
    return Row(
        name=name,
        behaves=behaves,
        fate=fate,
        error=pair,
        says=says,
        fast_says=fast_says or says,
        **more,
    )


FINAL, UNKNOWN, DECLINED = Fate.FINAL, Fate.UNKNOWN, Fate.DECLINED

# What is left for hyper and h11 to differ in, is how they name what broke.
CLOSED = "the connection broke \\(Server disconnected without sending a response\\)"
FAST_CLOSED = "the connection broke \\(connection closed before message completed\\)"
CUT_SHORT = "peer closed connection without sending complete message body"
FAST_CUT_SHORT = "end of file before message length reached"
# A reset before the head is ECONNRESET without a text here, and a closed connection there.
RESET = "the connection broke \\((ReadError|Server disconnected without sending a response|.*reset)"
FAST_RESET = "the connection broke \\(Connection reset by peer"

# Real time limits pass here, so one retry must do.
SOON: dict[str, Any] = {"timeout": 0.2, "max_retries": 1}
LATE = "no answer within 0.2 s"

TABLE = [
    # Connections that break.
    row("closed unread", bad.unread, UNKNOWN, Disconnected, RESET, reached=False,
        fast_says="the connection broke \\((Connection reset|connection closed|Broken pipe)"),
    row("closed before the head", bad.closed_before_the_head, UNKNOWN, Disconnected,
        CLOSED, FAST_CLOSED),
    row("reset before the head", bad.reset_before_the_head, UNKNOWN, Disconnected,
        RESET, FAST_RESET),
    row("closed inside the head", bad.closed_inside_the_head, UNKNOWN, Disconnected,
        CLOSED, FAST_CLOSED),
    row("closed after the head", bad.closed_after_the_head, UNKNOWN, Disconnected,
        CUT_SHORT, FAST_CUT_SHORT),
    row("closed inside the body", bad.closed_inside_the_body, UNKNOWN, Disconnected,
        CUT_SHORT, FAST_CUT_SHORT),
    row("reset inside the body", bad.reset_inside_the_body, UNKNOWN, Disconnected,
        "the connection broke \\((ReadError|.*reset)", FAST_RESET),
    row("refused with half a body", bad.refused_with_half_a_body, FINAL, errors.BadRequestError,
        'answered 400: {"detail": "No\\. ', status=400),
    row("failed with half a body", bad.failed_with_half_a_body, UNKNOWN, ServerFailed,
        'answered 500: {"detail": "No\\. ', status=500),
    # Slow ones.
    row("silent", bad.silent, UNKNOWN, TimedOut, LATE, settings=SOON),
    row("stalled inside the head", bad.stalled_inside_the_head, UNKNOWN, TimedOut, LATE,
        settings=SOON),
    row("stalled after the head", bad.stalled_after_the_head, UNKNOWN, TimedOut, LATE,
        settings=SOON),
    row("stalled inside the body", bad.stalled_inside_the_body, UNKNOWN, TimedOut, LATE,
        settings=SOON),
    row("refused and stalled", bad.refused_and_stalled, FINAL, errors.BadRequestError,
        'answered 400: {"detail": "No\\. ', status=400, settings=SOON),
    row("dripping head", bad.dripping_head, settings={"timeout": 0.5}),
    row("dripping body", bad.dripping_body, settings={"timeout": 0.4}),
    # Wrong lengths and broken heads.
    row("length too long", bad.length_too_long, UNKNOWN, Disconnected, CUT_SHORT, FAST_CUT_SHORT),
    row("length too short", bad.length_too_short, FINAL, errors.DecodeError,
        "answered 20., but the body is not JSON"),
    row("two lengths", bad.two_lengths, UNKNOWN, Disconnected,
        "conflicting Content-Length", "invalid content-length"),
    row("the same length twice", bad.the_same_length_twice),
    row("broken chunks", bad.broken_chunks, UNKNOWN, Disconnected,
        "illegal chunk header", "Invalid chunk size line"),
    row("chunks without an end", bad.chunks_without_an_end, UNKNOWN, Disconnected,
        "incomplete chunked read", "unexpected EOF during chunk size line"),
    row("good chunks", bad.good_chunks),
    row("ended by closing", bad.ended_by_closing),
    row("no HTTP", bad.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), UNKNOWN, Disconnected,
        "illegal status line", "invalid HTTP version"),
    row("a line that is no header", bad.raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n{}"), UNKNOWN,
        Disconnected, "illegal header line", "invalid HTTP header"),
    row("a head without end", bad.raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000), UNKNOWN,
        Disconnected, "Receive buffer too long", "message head is too large|too many headers"),
    # Odd, and allowed.
    row("100 and 103 before the answer", bad.informed_first),
    row("gzip", bad.good_gzip),
    row("a header beyond ASCII", good("X-Odd: caf\xe9")),
    row("duplicate headers", good("X-Request-ID: r-2", "Content-Type: application/json")),
    # Successes that are none.
    row("truncated JSON", bad.truncated_json, FINAL, errors.DecodeError,
        "answered 20., but the body is not JSON \\(application/json, 20 bytes\\)"),
    row("HTML as a success", html(), FINAL, errors.DecodeError,
        "answered 20., but the body is not JSON \\(text/html; charset=utf-8, 33 bytes\\)"),
    row("bad gzip", bad.bad_gzip, FINAL, errors.DecodeError, "but the body is not JSON"),
    row("status 299", answer(299), FINAL, errors.DecodeError,
        "answered 299, but status 299 does not exist in HTTP", status=299),
    # Refusals.
    row("HTML as a refusal", html(403), FINAL, errors.PermissionDeniedError,
        "answered 403: <html><body>Sign in</body></html>", status=403),
    row("status 499", answer(499), FINAL, errors.StatusError, "answered 499: No\\.", status=499),
    row("a refusal that may be repeated", answer(400, "x-should-retry: true"), DECLINED,
        errors.BadRequestError, "answered 400: No\\.", status=400),
    row("a redirect to itself", answer(302, "Location: /v4/projects"), FINAL, errors.RedirectError,
        "answered 302: it points to /v4/projects\\. Redirects are not followed", status=302),
    row("a redirect that keeps the method", answer(308, "Location: /v4/again"), FINAL,
        errors.RedirectError, "answered 308: it points to /v4/again\\.", status=308),
    row("429", answer(429), DECLINED, errors.RateLimitedError, "answered 429: No\\.", status=429),
    row("503 with a time", answer(503, "Retry-After: 3"), DECLINED, errors.ServerError,
        "answered 503: No\\.", status=503),
    # Failures.
    row("HTML as a failure", html(502), UNKNOWN, ServerFailed,
        "answered 502: <html><body>Sign in</body></html>", status=502),
    row("status 520", answer(520), UNKNOWN, ServerFailed, "answered 520: No\\.", status=520),
    row("503 without a time", answer(503), UNKNOWN, ServerFailed, "answered 503", status=503),
    row("a failure that must not be repeated", answer(500, "x-should-retry: false"), FINAL,
        ServerFailed, "the server asks not to be asked again", status=500),
]  # fmt: skip

# Each transport reads answers with a parser of its own, so each gets the whole table once. What
# follows from a fate is the same code for both clients: for the others a row of each fate will do.
WHOLE = [WAYS[0], WAYS[3]]
ONE_PER_FATE = {"good chunks", "closed before the head", "silent", "status 499", "429"}
CASES = [
    pytest.param(case, way, id=f"{case}-{way}")
    for case in TABLE
    for way in WAYS
    if way in WHOLE or case.name in ONE_PER_FATE
]


@pytest.mark.parametrize(
    ("method", "announced"),
    [
        pytest.param("GET", False, id="GET"),
        pytest.param("POST", False, id="POST"),
        pytest.param("POST", True, id="POST announced"),
    ],
)
@pytest.mark.parametrize(("case", "way"), CASES)
def test_each_misbehaviour_has_its_error_and_its_number_of_requests(
    case: Row, method: Method, announced: bool, way: Way, slept: list[float]
) -> None:
    """Error, message, attempts and the requests that reach the server, whoever asks and how."""
    outcome = expected(case, method, announced=announced)
    hello = good("Connection: close", *([ANNOUNCEMENT] if announced else []))
    with bad.misbehaving(hello, case.behaves) as server:
        got = caught(lambda: way.call(method, server.base_url, before=True, **case.settings))
        received = server.received[1:]
    if outcome.error is None:
        assert got is None
    else:
        assert type(got) is outcome.error
        assert isinstance(got, errors.RequestError)
        says = case.fast_says if way.transport == "fast" else case.says
        assert re.search(says, str(got))
        assert got.attempts == outcome.attempts
        assert getattr(got, "status", None) == case.status or case.status is None
    assert len(received) == (outcome.attempts if case.reached else 0)
    assert {each.method for each in received} <= {method}
    keys = {each.headers.get("idempotency-key") for each in received}
    if method == "POST" and case.reached:
        assert len(keys) == 1
        assert None not in keys
    assert len(slept) == outcome.attempts - 1


@frozen
class Outcome:
    error: type[errors.RequestError] | None
    attempts: int


def expected(case: Row, method: Method, *, announced: bool) -> Outcome:
    """Return what a fate means: nothing but an unknown outcome depends on who asks whom."""
    if case.fate is None or case.error is None:
        return Outcome(None, 1)
    read, write = case.error
    again = {
        Fate.FINAL: False,
        Fate.DECLINED: True,
        Fate.UNSENT: True,
        Fate.UNKNOWN: method == "GET" or announced,
    }[case.fate]
    return Outcome(read if method == "GET" else write, case.retries + 1 if again else 1)


def caught(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except errors.EvrunError as error:
        return error
    return None


@pytest.mark.parametrize(
    "case", [each for each in TABLE if each.fate in {UNKNOWN, DECLINED}], ids=str
)
def test_one_failure_is_got_over(case: Row, way: Way, slept: list[float]) -> None:
    """The second attempt, over a new connection if it must be, has the same key and succeeds."""
    with bad.misbehaving(good(ANNOUNCEMENT), case.behaves, good()) as server:
        logged = way.call("POST", server.base_url, before=True, **case.settings)
        received = server.received[1:]
    assert logged.id == "data_1"
    assert len(received) == 2
    assert len({each.headers["idempotency-key"] for each in received}) == 1
