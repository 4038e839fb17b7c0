"""A clock that stands still but for waits, which pass at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evrun._transport.clock import Clock

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock(Clock):
    """Remembers what was slept. `jitter` is always the longest wait but a hair."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.passed = 0.0

    def monotonic(self) -> float:
        """Return the seconds that passed since the clock was made."""
        return self.passed

    def now(self) -> datetime:
        """Return the time of day that goes with it."""
        return START + timedelta(seconds=self.passed)

    def jitter(self) -> float:
        """Return what makes every wait as long as it can get."""
        return 1.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.passed += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Let time pass."""
        self.sleep(seconds)
