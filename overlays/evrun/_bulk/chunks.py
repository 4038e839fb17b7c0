"""How many logs travel: which of them go together, and under which keys. No I/O.

Logs are handed over one by one and come back in chunks, in order. A log's key is made once and goes
with it wherever it goes, so that a server that recognises keys stores it once.
"""

from __future__ import annotations

import re
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import frozen

from evrun.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Target = tuple[str, str | None]
    """Datapoint and evaluatee: of two logs with the same, the later one counts."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of logs in one request, before compression: a server of ours takes 10 MiB."""

MOST_SECONDS: Final = 1.0
"""How long a log waits for others to go with it: what a killed process has not sent is younger."""

_KEY: Final = re.compile(r"[!-~]{1,255}")

T = TypeVar("T")


@frozen(kw_only=True)
class Entry:
    """One log on its way."""

    index: int
    """Its place among all that are logged."""
    key: str
    item: dict[str, Any]
    """JSON data, as the batch operation takes it."""
    size: int
    """Bytes of the item."""

    @property
    def target(self) -> Target:
        """What the log is for."""
        return self.item["datapoint_id"], self.item.get("evaluatee_id")


def key_of(given: object, parameter: str) -> str:
    """Return the log's key: a new one if none was given. Raises `InvalidRequestError`."""
    if given is None:
        return str(uuid.uuid4())
    if not isinstance(given, str) or not _KEY.fullmatch(given):
        raise InvalidRequestError(
            f"{parameter}: {str(given)[:60]!r} is not a key; it has 1 to 255 visible ASCII "
            "characters. Leave it out to have one made.",
            parameter=parameter,
        )
    return given


class Chunker(Generic[T]):
    """Gathers what is handed over into chunks of limited number, size and age.

    `now` is in seconds, of any clock that only grows.
    """

    def __init__(self, most: int, most_bytes: int, most_seconds: float) -> None:
        self._most = most
        self.most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._complete: deque[list[T]] = deque()
        self._chunk: list[T] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, each: T, size: int, now: float) -> None:
        """Take one more. What is larger than a chunk may be goes alone: the server decides."""
        if self._chunk and self._bytes + size > self.most_bytes:
            self.flush()
        if not self._chunk:
            self._since = now
        self._chunk.append(each)
        self._bytes += size
        if len(self._chunk) >= self._most or self._bytes >= self.most_bytes:
            self.flush()

    def flush(self) -> None:
        """Complete the chunk, whatever its size and age."""
        if self._chunk:
            self._complete.append(self._chunk)
            self._chunk, self._bytes = [], 0

    @property
    def complete(self) -> bool:
        """Whether a chunk is complete and waits to be taken."""
        return bool(self._complete)

    def due(self, now: float) -> float | None:
        """Return the seconds until a chunk should be taken; 0 for now, None if there is none."""
        if self._complete:
            return 0.0
        return max(self._since + self._most_seconds - now, 0.0) if self._chunk else None

    def take(self) -> list[T]:
        """Return the oldest chunk. There is one."""
        if not self._complete:
            self.flush()
        return self._complete.popleft()


def halves(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """Return two parts of what was too large as one. There are two entries or more."""
    middle = len(entries) // 2
    return entries[:middle], entries[middle:]


def waves(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield entries that may be sent at the same time: none of them for the same target.

    Of two logs for one target the later must arrive later.
    """
    wave: list[Entry] = []
    targets: set[Target] = set()
    for entry in entries:
        if entry.target in targets:
            yield wave
            wave, targets = [], set()
        wave.append(entry)
        targets.add(entry.target)
    if wave:
        yield wave
