"""The retry policy, without a clock or a socket."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evrun._transport.retry import (
    Failure,
    Fate,
    GiveUp,
    OnUnknown,
    RetryPolicy,
    Wait,
    asked_wait,
    decide,
    should_retry,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)

NOT_ANNOUNCED = (
    "this server has not announced that it recognises a repeated request; "
    'on_unknown="retry" repeats it all the same'
)


def decided(
    failure: Failure,
    *,
    policy: RetryPolicy | None = None,
    attempts: int = 1,
    harmless: bool = False,
    recognised: bool = False,
    time_left: float | None = None,
    jitter: float = 1.0,
) -> Wait | GiveUp:
    return decide(
        policy or RetryPolicy(),
        failure,
        attempts=attempts,
        harmless=harmless,
        recognised=recognised,
        time_left=time_left,
        jitter=lambda: jitter,
    )


def failure(
    fate: Fate, *, asked: float | None = None, should: bool | None = None, reason: str = "it broke"
) -> Failure:
    return Failure(fate=fate, asked_wait=asked, should_retry=should, reason=reason)


@pytest.mark.parametrize("fate", [Fate.UNSENT, Fate.DECLINED])
@pytest.mark.parametrize("on_unknown", [None, "raise", "retry"])
@pytest.mark.parametrize("recognised", [False, True])
def test_what_was_not_done_is_always_tried_again(
    fate: Fate, on_unknown: OnUnknown | None, recognised: bool
) -> None:
    """Nothing can happen twice: neither the server nor `on_unknown` is asked."""
    policy = RetryPolicy(on_unknown=on_unknown)
    expected = Wait(0.5, f"it broke: {fate.value}")
    assert decided(failure(fate), policy=policy, recognised=recognised) == expected


@pytest.mark.parametrize(
    ("on_unknown", "recognised", "harmless", "expected"),
    [
        (None, False, False, GiveUp(NOT_ANNOUNCED, ambiguous=True)),
        (None, True, False, Wait(0.5, "it broke: it may have been carried out")),
        ("retry", False, False, Wait(0.5, "it broke: it may have been carried out")),
        ("retry", True, False, Wait(0.5, "it broke: it may have been carried out")),
        ("raise", False, False, GiveUp('on_unknown is "raise"', ambiguous=True)),
        ("raise", True, False, GiveUp('on_unknown is "raise"', ambiguous=True)),
        (None, False, True, Wait(0.5, "it broke: it may have been carried out")),
        ("raise", False, True, Wait(0.5, "it broke: it may have been carried out")),
    ],
)
def test_an_unknown_outcome_is_repeated_only_where_nothing_can_happen_twice(
    on_unknown: OnUnknown | None, recognised: bool, harmless: bool, expected: Wait | GiveUp
) -> None:
    """It is, if repeating is harmless, the server recognises it, or the user says so."""
    policy = RetryPolicy(on_unknown=on_unknown)
    actual = decided(failure(Fate.UNKNOWN), policy=policy, recognised=recognised, harmless=harmless)
    assert expected == actual


@pytest.mark.parametrize(
    ("fate", "should", "expected"),
    [
        (Fate.FINAL, None, GiveUp("sending it again would change nothing")),
        (Fate.FINAL, True, Wait(0.5, "it broke: sending it again would change nothing")),
        (Fate.FINAL, False, GiveUp("the server asks not to be asked again")),
        (Fate.DECLINED, False, GiveUp("the server asks not to be asked again")),
        (Fate.UNKNOWN, True, Wait(0.5, "it broke: it may have been carried out")),
        (
            Fate.UNKNOWN,
            False,
            GiveUp("the server asks not to be asked again", ambiguous=True),
        ),
    ],
)
def test_the_servers_own_word_goes_before_the_rules(
    fate: Fate, should: bool | None, expected: Wait | GiveUp
) -> None:
    """`x-should-retry` decides both ways, but not how often."""
    assert decided(failure(fate, should=should)) == expected
    assert decided(failure(Fate.UNKNOWN, should=True), attempts=4) == GiveUp(
        "3 retries used up", ambiguous=True
    )


@pytest.mark.parametrize(
    ("attempts", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (5000, 8.0)]
)
def test_waits_double_up_to_the_longest(attempts: int, wait: float) -> None:
    """From 0.5 s to 8 s; with full jitter that is the upper end."""
    policy = RetryPolicy(max_retries=10_000)
    assert decided(failure(Fate.UNSENT), policy=policy, attempts=attempts) == Wait(
        wait, "it broke: nothing was sent"
    )
    quarter = decided(failure(Fate.UNSENT), policy=policy, attempts=attempts, jitter=0.25)
    assert quarter == Wait(wait / 4, "it broke: nothing was sent")


@pytest.mark.parametrize(
    ("max_retries", "attempts", "reason"),
    [
        (0, 1, "retries are off"),
        (1, 2, "1 retry used up"),
        (3, 4, "3 retries used up"),
        (3, 5, "3 retries used up"),
    ],
)
def test_there_are_as_many_retries_as_were_asked_for(
    max_retries: int, attempts: int, reason: str
) -> None:
    """Attempts are retries plus one: the one before the last still waits."""
    policy = RetryPolicy(max_retries=max_retries)
    assert decided(failure(Fate.UNSENT), policy=policy, attempts=attempts) == GiveUp(reason)
    if attempts > 1:
        last = decided(failure(Fate.UNSENT), policy=policy, attempts=max_retries)
        assert isinstance(last, Wait)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (0.0, Wait(0.0, "it broke: the server did not carry it out")),
        (7.5, Wait(7.5, "it broke: the server did not carry it out")),
        (120.0, Wait(120.0, "it broke: the server did not carry it out")),
        (120.5, GiveUp("the server asks to wait 120.5 s, longer than 120 s")),
    ],
)
def test_a_server_that_names_a_time_is_obeyed_within_reason(
    asked: float, expected: Wait | GiveUp
) -> None:
    """Exactly, without jitter, up to 120 s; above that the caller decides."""
    assert decided(failure(Fate.DECLINED, asked=asked), jitter=0.0) == expected


@pytest.mark.parametrize(
    ("asked", "left", "waits"),
    [(None, 0.6, True), (None, 0.5, False), (2.0, 2.1, True), (2.0, 1.9, False), (None, -1, False)],
)
def test_no_wait_outlives_the_deadline(asked: float | None, left: float, waits: bool) -> None:
    """A wait that would end after the deadline is not begun."""
    actual = decided(failure(Fate.DECLINED, asked=asked), time_left=left)
    assert isinstance(actual, Wait) is waits
    if not waits:
        assert actual == GiveUp(f"the deadline is nearer than the wait of {asked or 0.5:g} s")


@given(
    fate=st.sampled_from(Fate),
    asked=st.none() | st.floats(0, 1e9),
    should=st.none() | st.booleans(),
    attempts=st.integers(1, 10),
    max_retries=st.integers(0, 8),
    on_unknown=st.sampled_from([None, "retry", "raise"]),
    harmless=st.booleans(),
    recognised=st.booleans(),
    left=st.none() | st.floats(-10, 1000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_whatever_happens_the_promises_hold(  # noqa: PLR0917 - hypothesis names them
    fate: Fate,
    asked: float | None,
    should: bool | None,
    attempts: int,
    max_retries: int,
    on_unknown: OnUnknown | None,
    harmless: bool,
    recognised: bool,
    left: float | None,
    jitter: float,
) -> None:
    """Bounded, in time, never twice where it may matter, and always with a reason."""
    decision = decided(
        failure(fate, asked=asked, should=should),
        policy=RetryPolicy(max_retries=max_retries, on_unknown=on_unknown),
        attempts=attempts,
        harmless=harmless,
        recognised=recognised,
        time_left=left,
        jitter=jitter,
    )
    assert decision.reason
    if isinstance(decision, GiveUp):
        assert decision.ambiguous is (fate is Fate.UNKNOWN and not harmless)
        return
    assert attempts <= max_retries
    assert should is not False
    assert 0 <= decision.seconds <= (120 if asked is not None else 8)
    assert left is None or decision.seconds < left
    if fate is Fate.UNKNOWN and not harmless and should is None:
        assert on_unknown == "retry" or (on_unknown is None and recognised)


# --- Headers -------------------------------------------------------------------------------------


def asked(**headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked_wait(httpx.Headers(named), NOW)


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": " 7 "}, 7.0),
        ({"Retry_After": "1.5"}, 1.5),
        ({"Retry_After": "0"}, 0.0),
        ({"Retry_After": "7, 9"}, 7.0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "Retry_After": "9"}, 1.5),
        ({"retry_after_ms": "soon", "Retry_After": "9"}, 9.0),
        ({"Retry_After": date(30)}, 30.0),
        ({"Retry_After": date(-30)}, 0.0),
        ({"Retry_After": date(3630), "Date": date(3600)}, 30.0),
        ({"Retry_After": date(30), "Date": "yesterday"}, 30.0),
        ({"Retry_After": "-1"}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "1e400"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "9" * 400}, None),
        ({"Retry_After": "٣"}, None),
        ({"Retry_After": "Tue, 24 Nov 2026 12:00:30"}, None),
    ],
    ids=str,
)
def test_the_time_that_a_server_names(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, milliseconds or a date by the server's own clock; anything else names no time."""
    if "٣" in headers.values():
        assert asked_wait({"retry-after": "٣"}, NOW) == expected
    else:
        assert asked(**headers) == expected


@given(st.text(), st.text(), st.text())
def test_no_header_makes_reading_it_fail(after: str, milliseconds: str, now: str) -> None:
    """Whatever stands there: a number of seconds that is not negative, or None."""
    read = asked_wait({"retry-after": after, "retry-after-ms": milliseconds, "date": now}, NOW)
    assert read is None or (read >= 0 and math.isfinite(read))


@given(st.floats(0, 1e8), st.integers(0, 10**8))
def test_a_number_is_read_as_it_was_written(seconds: float, milliseconds: int) -> None:
    """Both headers, as any server writes them."""
    text = f"{seconds:.3f}"
    assert asked(Retry_After=text) == float(text)
    assert asked(retry_after_ms=str(milliseconds)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("False", False), (" TRUE ", True), ("1", None), ("", None), (None, None)],
)
def test_x_should_retry(value: str | None, expected: bool | None) -> None:
    """`true` and `false` in any case; everything else says nothing."""
    headers = {} if value is None else {"x-should-retry": value}
    assert should_retry(httpx.Headers(headers)) is expected
