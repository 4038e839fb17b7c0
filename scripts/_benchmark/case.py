"""What a case of the benchmark takes and gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path


class Unusable(Exception):  # noqa: N818 -- an answer to the user, as a refusal is
    """Why a case cannot run here."""


@frozen
class Inputs:
    """What the command line gives to every case."""

    spec: Path | None
    specs: tuple[Path, ...]
    repeat: int


@frozen
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    """Such as `s`, or `x` for a ratio of two figures of the same run."""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the claim holds, if one is made."""
        if self.at_most is None and self.at_least is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


Case = Callable[[Inputs], list[Figure]]


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Return the median of how long `work` takes."""
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)
