from __future__ import annotations

import gzip

import pytest

from evrun.server.api.limits import Rate, RateLimiter, inflate
from evrun.server.errors import BodyTooLargeError, ContentEncodingError, RateLimitError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100/s", Rate(100, 1)), ("600/m", Rate(600, 60)), ("5000/h", Rate(5000, 3600))],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    """Requests in a second, a minute or an hour."""
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "100/d", "100/s ", "1/s\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """The sentence shows what to write."""
    with pytest.raises(ValueError, match="Write 100/s"):
        Rate.parse(text)


def allowed(limiter: RateLimiter, name: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            limiter.take(name)
        except RateLimitError:
            continue
        count += 1
    return count


def test_a_bucket_fills_with_time_and_not_beyond_its_size() -> None:
    """All at once, then as many as the time allows; a long pause saves up one bucket."""
    clock = Clock()
    limiter = RateLimiter(Rate(10, 1), clock)
    assert allowed(limiter, "a", 100) == 10
    clock.now = 0.5
    assert allowed(limiter, "a", 100) == 5
    clock.now = 1000
    assert allowed(limiter, "a", 100) == 10


def test_each_key_has_a_bucket_of_its_own() -> None:
    """One that is used up takes nothing from another."""
    limiter = RateLimiter(Rate(2, 60), Clock())
    assert allowed(limiter, "a", 5) == 2
    assert allowed(limiter, "b", 5) == 2


@pytest.mark.parametrize(("rate", "seconds"), [("1/s", 1), ("1/m", 60), ("2/h", 1800)])
def test_the_wait_is_in_whole_seconds_and_long_enough(rate: str, seconds: int) -> None:
    """Whoever waits as long as it says is let in."""
    clock = Clock()
    limiter = RateLimiter(Rate.parse(rate), clock)
    allowed(limiter, "a", 10)
    with pytest.raises(RateLimitError) as refused:
        limiter.take("a")
    assert refused.value.retry_after == seconds
    clock.now += seconds
    limiter.take("a")


def test_a_refused_request_costs_nothing() -> None:
    """Hammering does not put off the end of the wait."""
    clock = Clock()
    limiter = RateLimiter(Rate(1, 1), clock)
    for _ in range(100):
        allowed(limiter, "a", 10)
        clock.now += 0.01
    clock.now = 1.0
    assert allowed(limiter, "a", 10) == 1


def test_inflating_stops_at_the_limit() -> None:
    """To the byte."""
    assert inflate(gzip.compress(b"x" * 100), "gzip", 100) == b"x" * 100
    with pytest.raises(BodyTooLargeError):
        inflate(gzip.compress(b"x" * 101), "gzip", 100)


def test_a_body_without_an_encoding_stays_as_it_is() -> None:
    """Also one that looks compressed."""
    packed = gzip.compress(b"x")
    assert inflate(packed, "", 100) == inflate(packed, "Identity", 100) == packed
    with pytest.raises(ContentEncodingError, match="reads gzip and identity, and not 'deflate'"):
        inflate(packed, "deflate", 100)
