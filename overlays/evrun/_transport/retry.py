"""Whether a request is sent again, and when: decisions as values.

Nothing here performs I/O, sleeps or reads a clock: `decide` gets all that it looks at.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

OnUnknown = Literal["retry", "raise"]


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how fast a client tries again. Times are seconds."""

    max_retries: int = 3
    """Attempts after the first."""
    first_wait: float = 0.5
    """The longest wait before the first retry; it doubles with each one."""
    longest_wait: float = 8.0
    longest_asked_wait: float = 120.0
    """If a server asks for a longer wait, the call gives up: the caller decides."""
    on_unknown: OnUnknown | None = None
    """What follows if a request that changes something may have been carried out. None repeats it
    if the server has announced that it recognises a repeated `Idempotency-Key`."""


class Fate(Enum):
    """What is known of a request that did not succeed. The value says it in a log."""

    UNSENT = "nothing was sent"
    DECLINED = "the server did not carry it out"
    """It says so: 429, or 503 with a time to come back."""
    UNKNOWN = "it may have been carried out"
    FINAL = "sending it again would change nothing"


@frozen
class Wait:
    """Send it again after `seconds`."""

    seconds: float
    reason: str


RETRIES_OFF: Final = "retries are off"


@frozen
class GiveUp:
    """Raise the failure."""

    reason: str
    ambiguous: bool = False
    """Whether the request may have changed something."""


@frozen(kw_only=True)
class Failure:
    """One failed attempt."""

    fate: Fate
    asked_wait: float | None = None
    """Seconds that the server asked for."""
    should_retry: bool | None = None
    """The server's own word (`x-should-retry`), if it said one."""
    reason: str = field(default="")
    """What happened, in a few words: `status 503`."""
    problem: str = field(default="")
    """How an answer of 2xx breaks the contract."""


def decide(
    policy: RetryPolicy,
    failure: Failure,
    *,
    attempts: int,
    harmless: bool,
    recognised: bool,
    time_left: float | None,
    jitter: Callable[[], float],
) -> Wait | GiveUp:
    """Return what follows a failed attempt.

    - `attempts`: sent so far, this one included.
    - `harmless`: carrying the request out twice is as good as once (GET and most PATCHes).
    - `recognised`: the server has announced that it knows a repeated `Idempotency-Key`.
    - `time_left`: seconds until the deadline, None without one.
    - `jitter`: returns a number from 0 up to 1.
    """
    ambiguous = failure.fate is Fate.UNKNOWN and not harmless
    if failure.fate is Fate.FINAL and failure.should_retry is None:
        return GiveUp(Fate.FINAL.value)
    if attempts > policy.max_retries:
        return GiveUp(_used_up(policy.max_retries), ambiguous)
    if refusal := _refusal(policy, failure, ambiguous=ambiguous, recognised=recognised):
        return GiveUp(refusal, ambiguous)
    wait = _wait(policy, failure.asked_wait, attempts, jitter)
    if time_left is not None and wait >= time_left:
        return GiveUp(f"the deadline is nearer than the wait of {wait:.3g} s", ambiguous)
    return Wait(wait, f"{failure.reason}: {failure.fate.value}")


def _refusal(
    policy: RetryPolicy, failure: Failure, *, ambiguous: bool, recognised: bool
) -> str | None:
    """Return why the request must not be sent again, whatever time there is."""
    if failure.should_retry is False:
        return "the server asks not to be asked again"
    if ambiguous and failure.should_retry is None:
        if policy.on_unknown == "raise":
            return 'on_unknown is "raise"'
        if policy.on_unknown is None and not recognised:
            return (
                "this server has not announced that it recognises a repeated request; "
                'on_unknown="retry" repeats it all the same'
            )
    asked = failure.asked_wait
    if asked is not None and asked > policy.longest_asked_wait:
        return f"the server asks to wait {asked:g} s, longer than {policy.longest_asked_wait:g} s"
    return None


def _used_up(retries: int) -> str:
    if retries == 0:
        return RETRIES_OFF
    return "1 retry used up" if retries == 1 else f"{retries} retries used up"


def _wait(
    policy: RetryPolicy, asked: float | None, attempts: int, jitter: Callable[[], float]
) -> float:
    """Return the seconds to wait: what the server asked for, else a random part of a growing limit.

    Full jitter spreads clients that failed together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    if asked is not None:
        return asked
    # The exponent is bounded, because a float is: 2.0 ** 1024 overflows.
    limit = min(policy.longest_wait, policy.first_wait * 2.0 ** min(attempts - 1, 60))
    return limit * jitter()


_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that an answer asks to wait, None if it names no readable time.

    `retry-after-ms` goes before `Retry-After` (RFC 9110, section 10.2.3), which is a number of
    seconds or a date; a date counts from the answer's own `Date`, so that clocks may differ, and
    from `now` if it has none. `headers` looks names up in any case, as `httpx.Headers` does.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    return max(0.0, (until - (_date(headers.get("date", "")) or now)).total_seconds())


def _number(value: str) -> float | None:
    # A header that came twice is joined by commas: the first one counts.
    first = value.partition(",")[0].strip()
    return float(first) if _SECONDS.fullmatch(first) else None


def _date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    # Without a zone it cannot be compared; HTTP dates are always GMT.
    return parsed if parsed.tzinfo else None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return what `x-should-retry` says, None if it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
