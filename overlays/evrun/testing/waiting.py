"""Tests of retries without the waits between attempts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from evrun._transport.clock import SKIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_waits() -> Iterator[list[float]]:
    """Let the clients of this process skip the waits between attempts, in all threads.

        with no_waits() as waits:
            client.evaluations.log(…)
        assert waits == [0.5, 1.0]

    Yields the seconds of each skipped wait. Nothing else changes: a client tries as often as usual,
    and a skipped wait counts against the deadline and in `elapsed`. There is no jitter: each wait
    is the longest possible one, so that tests are repeatable. As a fixture for all tests:

        @pytest.fixture(autouse=True)
        def waits():
            with no_waits() as waits:
                yield waits
    """
    waits: list[float] = []
    SKIPPED.append(waits)
    try:
        yield waits
    finally:
        SKIPPED[:] = [each for each in SKIPPED if each is not waits]
