"""Which fault the next request meets: a schedule, and how far it has come."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import frozen

from evrun.server.api.faults.schedule import Rule, Schedule, operation_of, wrong

if TYPE_CHECKING:
    from evrun.server.api.faults.schedule import Fault

_LOGGER = logging.getLogger("evrun.server.api.faults")


@frozen
class Happened:
    """A fault that a request met."""

    rule: Rule
    number: int
    """Which of the requests that the rule counts it was, from 1."""
    method: str
    path: str
    operation: str | None


class Faults:
    """Tells each request its fault. Threads may share it, and change the schedule meanwhile.

    The same requests meet the same faults, whatever else is asked in between: each rule counts what
    matches it, also when an earlier rule decides, and chance depends on that count alone.
    """

    def __init__(self, schedule: Schedule | None = None) -> None:
        self._lock = threading.Lock()
        self._happened: list[Happened] = []
        self.follow(Schedule() if schedule is None else schedule)

    def plan(self, *rules: Rule, seed: int = 0) -> None:
        """Follow these rules from now on, instead of those before. Counting begins anew."""
        self.follow(Schedule(rules, seed=seed))

    def follow(self, schedule: Schedule) -> None:
        """Like `plan`, for a schedule that was read or made elsewhere."""
        if not isinstance(schedule, Schedule):
            raise wrong("schedule", schedule, "a Schedule, as read_schedule(FILE) returns")
        with self._lock:
            self._schedule = schedule
            self._counts: Counter[int] = Counter()

    def clear(self) -> None:
        """Let every request pass from now on. What happened stays known."""
        self.plan()

    @property
    def schedule(self) -> Schedule:
        """What is followed now."""
        return self._schedule

    @property
    def happened(self) -> list[Happened]:
        """The faults that requests have met so far, in their order, under every schedule."""
        with self._lock:
            return list(self._happened)

    def described(self) -> list[str]:
        """Return a line for each rule."""
        return [str(rule) for rule in self._schedule.rules]

    def next(self, method: str, path: str) -> Fault | None:
        """Return what this request meets, and count it."""
        operation = operation_of(method, path)
        with self._lock:
            taken: Happened | None = None
            for index, rule in enumerate(self._schedule.rules):
                if not rule.matches(method, path, operation):
                    continue
                self._counts[index] += 1
                number = self._counts[index]
                if taken is None and self._takes(rule, index, number):
                    taken = Happened(rule, number, method, path, operation)
            if taken is None:
                return None
            self._happened.append(taken)
        # Encoded again as it came: a line break in it would begin an entry of the caller's.
        shown = quote(path, safe="/:@")
        _LOGGER.warning("%s %s meets a fault on purpose: %s", method, shown, taken.rule)
        return taken.rule.fault

    def _takes(self, rule: Rule, index: int, number: int) -> bool:
        if rule.nth is not None and number not in rule.nth:
            return False
        if rule.probability is None:
            return True
        # A draw of its own for each request: threads cannot change the order of the draws.
        draw = Random(f"{self._schedule.seed} {index} {number}").random()  # noqa: S311 - no secret
        return draw < rule.probability
