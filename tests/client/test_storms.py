"""How long a client stays away from a server that asks it to, and when it gives up instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from _support.misbehaving_server import answer, good, misbehaving
from evrun import errors

if TYPE_CHECKING:
    from _support.client_kinds import Method, Way

DATE = "Date: Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        pytest.param([], [0.5, 1.0, 2.0], id="no header: growing waits of our own"),
        pytest.param(["Retry-After: 7"], [7.0] * 3, id="seconds"),
        pytest.param(["retry-after-ms: 1500"], [1.5] * 3, id="milliseconds"),
        pytest.param(
            ["Retry-After: 7", "retry-after-ms: 1500"], [1.5] * 3, id="milliseconds go first"
        ),
        pytest.param([DATE, "Retry-After: Thu, 01 Jan 2026 00:00:30 GMT"], [30.0] * 3, id="a date"),
        pytest.param(
            [DATE, "Retry-After: Wed, 31 Dec 2025 23:59:00 GMT"], [0.0] * 3, id="a date that passed"
        ),
        pytest.param(["Retry-After: 3", "Retry-After: 9"], [3.0] * 3, id="twice: the first counts"),
        pytest.param(["Retry-After: soon"], [0.5, 1.0, 2.0], id="nonsense counts as nothing"),
        pytest.param(["Retry-After: 120"], [120.0] * 3, id="as long as may be asked"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_storm_is_waited_for_as_asked(
    status: int, headers: list[str], waits: list[float], way: Way, slept: list[float]
) -> None:
    """A declined request is sent again after the time that the server names, four times in all."""
    with misbehaving(answer(status, *headers)) as server:
        with pytest.raises(errors.StatusError) as caught:
            way.call("GET", server.base_url)
        assert (caught.value.status, caught.value.attempts) == (status, 4)
        assert len(server.received) == 4
    assert slept == waits


def test_a_storm_that_passes_is_no_error(way: Way, slept: list[float]) -> None:
    """A POST that was declined three times succeeds at last, with one key in all attempts."""
    decline = answer(429, "Retry-After: 2")
    with misbehaving(decline, decline, decline, good()) as server:
        assert way.call("POST", server.base_url).id == "data_1"
        assert len({each.headers["idempotency-key"] for each in server.received}) == 1
        assert len(server.received) == 4
    assert slept == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_asks_for_too_long_is_not_waited_for(
    method: Method, way: Way, slept: list[float]
) -> None:
    """Above two minutes the caller decides: the error comes at once and says what was asked."""
    with misbehaving(answer(429, "Retry-After: 121")) as server:
        with pytest.raises(errors.RateLimitedError, match=r"asks to wait 121 s, longer than 120 s"):
            way.call(method, server.base_url)
        assert len(server.received) == 1
    assert slept == []


def test_a_wait_beyond_the_deadline_is_not_begun(way: Way, slept: list[float]) -> None:
    """A deadline covers the waits: what cannot be over in time is not waited for."""
    with misbehaving(answer(429, "Retry-After: 20")) as server:
        with pytest.raises(errors.RateLimitedError, match="the deadline is nearer") as caught:
            way.call("POST", server.base_url, deadline=30)
        assert caught.value.attempts == 2
        assert len(server.received) == 2
    assert slept == [20.0]
