"""`evrun.testing.no_waits`: clients skip the waits between attempts."""

from __future__ import annotations

import asyncio
import time

import pytest

from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import AsyncEvrun, Evrun, RateLimitedError
from evrun.testing import no_waits

BUSY = FakeApi(429, json={"detail": "busy"}, headers={"Retry-After": "30"})


def test_waits_are_skipped_and_told() -> None:
    """The call tries as often as usual; `elapsed` has the waits; the switch ends with its block."""
    start = time.monotonic()
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=BUSY.http_client()) as client:
        with no_waits() as waits, pytest.raises(RateLimitedError) as caught:
            client.projects.list()
        assert (caught.value.attempts, waits) == (4, [30.0] * 3)
        assert caught.value.elapsed >= 90
        with pytest.raises(RateLimitedError) as caught:
            client.with_options(deadline=1).projects.list()
    assert caught.value.elapsed < 30
    assert time.monotonic() - start < 60


def test_a_deadline_counts_skipped_waits() -> None:
    """A wait that would end after the deadline is not begun, as usual. Async clients too."""

    async def ask() -> None:
        http = BUSY.async_http_client()
        async with AsyncEvrun(
            api_key=KEY, base_url=BASE_URL, http_client=http, deadline=50
        ) as client:
            await client.projects.list()

    with no_waits() as waits, pytest.raises(RateLimitedError):
        asyncio.run(ask())
    assert waits == [30.0]


def test_the_innermost_switch_counts() -> None:
    """Each block has the waits of its own."""
    with (
        no_waits() as outer,
        Evrun(api_key=KEY, base_url=BASE_URL, http_client=BUSY.http_client()) as client,
    ):
        with no_waits() as inner, pytest.raises(RateLimitedError):
            client.projects.list()
        with pytest.raises(RateLimitedError):
            client.with_options(max_retries=1).projects.list()
    assert (inner, outer) == ([30.0] * 3, [30.0])
