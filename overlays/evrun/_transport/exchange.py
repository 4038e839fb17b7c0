"""One call: attempts and waits until it succeeded or failed. No I/O.

`exchange` is a generator. It yields steps (`Attempt`, `Wait`) and is sent the result of each
attempt: a response, or httpx's error as a value. It returns a usable response or raises a typed
error. `transport` drives it, once for sync and once for async.
"""

from __future__ import annotations

import gzip
import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from attrs import define, frozen

from evrun import errors
from evrun._base.headers import CAPABILITIES, IDEMPOTENCY_KEY
from evrun._base.redaction import masked_url
from evrun._transport import call_state, failures, messages
from evrun._transport.clock import TIME_LEFT
from evrun._transport.logging import log_attempt, log_decision, log_result
from evrun._transport.retry import RETRIES_OFF, Failure, Fate, Wait, decide

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from evrun._transport.clock import Clock
    from evrun._transport.failures import AttemptResult
    from evrun._transport.parsed import ParsedResponse
    from evrun._transport.retry import GiveUp
    from evrun._transport.settings import Options

    Steps = Generator["Attempt | Wait", AttemptResult | None, httpx.Response]

_NUMBER: Final = re.compile("[0-9]{1,9}")
_WORTH_COMPRESSING: Final = 1024  # bytes: what is shorter fits into one packet anyway

HARMLESS_PATCH: Final = re.compile(
    r".*(/evaluations/[^/]+/(status|evaluators)|/logs(/[^/]+)?)", re.ASCII
)
"""The ends of the paths whose PATCH may be carried out twice: the contract promises 200 for what is
so already, and a log's fields are set to what was sent. A rule test holds it against the contract.
Changing an evaluator is not among them: each change is a new version."""


_SHORTEST: Final = 0.001
"""Seconds for an attempt after a wait that took all the rest: sockets refuse a negative limit."""

_LOST: Final = "An earlier attempt got no answer and may have been carried out."
"""Beside a refusal: "it is there already", or "there is nothing to delete", may be its work."""


@frozen
class Attempt:
    """Send `request`, and read the answer."""

    request: httpx.Request
    time_left: float | None
    """Seconds until the deadline; None without one."""


@frozen
class Trail:
    """What it took to get a response; `of` finds it."""

    request: httpx.Request
    """What was sent at last: with the options' headers, query and body."""
    attempts: int
    elapsed: float
    """Seconds, waits included."""
    idempotency_key: str | None

    @staticmethod
    def of(response: httpx.Response) -> Trail:
        """Return the trail of a response that `exchange` returned."""
        found: Trail = response.extensions["evrun"]
        return found


@define
class Announced:
    """What the server has announced about itself so far."""

    idempotency: bool = False
    """It recognises a repeated `Idempotency-Key`."""
    batch: int = 0
    """Logs that it takes in one request; 0 if it has no such operation."""

    def note(self, response: httpx.Response) -> None:
        """Remember an announcement: `Evrun-Capabilities: idempotency=86400, batch=1000` (RFC 9651).

        An answer without one takes nothing back: it may come from a proxy in between.
        """
        for member in response.headers.get(CAPABILITIES, "").split(","):
            name, _, value = member.strip().partition("=")
            if name == "idempotency":
                self.idempotency = True
            elif name == "batch" and _NUMBER.fullmatch(value):
                self.batch = int(value)


def exchange(request: httpx.Request, options: Options, announced: Announced, clock: Clock) -> Steps:
    """Send `request` until an attempt succeeds or the policy gives up.

    Raises `RequestError`, or `InvalidRequestError` for what cannot be sent.
    """
    request = prepare(request, options)
    harmless = is_harmless(request)
    key = request.headers.get(IDEMPOTENCY_KEY)
    original = _Original.of(request)
    start = clock.monotonic()

    def left() -> float | None:
        return None if options.deadline is None else start + options.deadline - clock.monotonic()

    attempts = 0
    lost: tuple[AttemptResult, httpx.Request] | None = None  # it may have done its work
    while True:
        attempts += 1
        rest = left()
        if rest is not None:
            rest = max(rest, _SHORTEST)
        request = original.copy() if attempts > 1 else request
        request.extensions = original.limited(rest)
        log_attempt(request, attempts, payloads=options.log_payloads)
        result = yield Attempt(request, rest)
        assert result is not None  # noqa: S101 - only a wait has none
        trail = Trail(request, attempts, clock.monotonic() - start, key)
        log_result(request, result, trail.elapsed, payloads=options.log_payloads)
        if isinstance(result, httpx.Response):
            announced.note(result)
        judged = failures.judge(result, clock.now())
        if not isinstance(judged, Failure):
            return _received(judged, trail)
        decision = decide(
            options.retry,
            judged,
            attempts=attempts,
            harmless=harmless,
            recognised=announced.idempotency and key is not None,
            time_left=left(),
            jitter=clock.jitter,
        )
        if judged.fate is Fate.UNKNOWN:
            lost = result, request
        ambiguous = lost is not None and not harmless
        log_decision(request, attempts, decision)
        if isinstance(decision, Wait):
            yield decision
            continue
        if ambiguous and lost is not None and judged.fate in {Fate.UNSENT, Fate.DECLINED}:
            # That this attempt did nothing says nothing about the one before.
            result, request = lost
        passed = (left() or 1.0) <= 0
        error = messages.error(
            result,
            request,
            problem=judged.problem,
            ambiguous=ambiguous,
            deadline=options.deadline if passed else None,
            now=clock.now(),
        )
        if judged.fate is Fate.FINAL and lost is not None:
            error.args = (f"{error} {_LOST}",)
        raise _with_trail(error, trail, judged, decision) from (
            result if isinstance(result, httpx.HTTPError) else None
        )


def prepare(request: httpx.Request, options: Options) -> httpx.Request:
    """Return `request` with what the options add, and a key that all its attempts share."""
    state = call_state.current()
    if extra := (*state.query, *options.query):
        params = [*request.url.params.multi_items(), *extra]
        request.url = request.url.copy_with(params=params)
    request.headers.update(options.headers)
    if request.method == "POST":
        request.headers.setdefault(IDEMPOTENCY_KEY, str(uuid.uuid4()))
    if options.body:
        request = _with_body(request, _merged(request, options.body))
    if state.compressed and len(request.content) >= _WORTH_COMPRESSING:
        request.headers["Content-Encoding"] = "gzip"
        # The fastest level: it leaves a fifth of usual logs, and the best one an eighth.
        request = _with_body(request, gzip.compress(request.content, compresslevel=1, mtime=0))
    return request


def _merged(request: httpx.Request, extra: Mapping[str, Any]) -> bytes:
    try:
        body = json.loads(request.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise errors.InvalidRequestError(
            f"extra_body: {request.method} {masked_url(request.url)} has no JSON object that "
            "fields could be added to.",
            parameter="extra_body",
        )
    return json.dumps({**body, **extra}, ensure_ascii=False).encode()


def is_harmless(request: httpx.Request) -> bool:
    """Whether carrying the request out twice is as good as once."""
    if request.method == "PATCH":
        return HARMLESS_PATCH.fullmatch(request.url.path) is not None
    # Deleting twice leaves the same state (RFC 9110, section 9.2.2).
    return request.method in {"GET", "HEAD", "OPTIONS", "DELETE"}


@frozen
class _Original:
    """A request as every attempt begins with it: hooks and middleware may change theirs."""

    method: str
    url: httpx.URL
    headers: list[tuple[bytes, bytes]]
    content: bytes
    extensions: Mapping[str, Any]

    @classmethod
    def of(cls, request: httpx.Request) -> _Original:
        return cls(
            request.method, request.url, request.headers.raw, request.content, request.extensions
        )

    def copy(self) -> httpx.Request:
        return httpx.Request(self.method, self.url, headers=self.headers, content=self.content)

    def limited(self, left: float | None) -> dict[str, Any]:
        """Return the extensions, with no time limit beyond the deadline."""
        extensions = dict(self.extensions)
        if left is not None:
            extensions[TIME_LEFT] = left
            extensions["timeout"] = {
                kind: left if limit is None else min(limit, left)
                for kind, limit in self.extensions.get("timeout", {}).items()
            }
        return extensions


def _with_body(request: httpx.Request, content: bytes) -> httpx.Request:
    headers = {
        name: value for name, value in request.headers.items() if name != "content-length"
    }  # httpx counts again
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )


def _received(response: ParsedResponse, trail: Trail) -> httpx.Response:
    response.extensions["evrun"] = trail
    call_state.current().received = response
    return response


E = TypeVar("E", bound=errors.EvrunError)


def _with_trail(error: E, trail: Trail, failure: Failure, decision: GiveUp) -> E:
    """Return `error` with what it took, and why it ended there."""
    notes = []
    if trail.attempts > 1:
        notes.append(
            f"Gave up after {trail.attempts} attempts in {trail.elapsed:.3g} s: {decision.reason}."
        )
    elif failure.fate is not Fate.FINAL and decision.reason != RETRIES_OFF:
        notes.append(f"Not tried again: {decision.reason}.")
    if isinstance(error, errors.RequestError):
        error.attempts, error.elapsed = trail.attempts, trail.elapsed
        error.idempotency_key = trail.idempotency_key
    error.args = (" ".join([str(error), *notes]),)
    return error


def parser_error(problem: str, response: httpx.Response) -> errors.DecodeError:
    """Return the error for a success in which only the parser sees what is wrong."""
    trail = Trail.of(response)
    error = messages.decode_error(problem, response, trail.request)
    error.attempts, error.elapsed = trail.attempts, trail.elapsed
    error.idempotency_key = trail.idempotency_key
    return error
