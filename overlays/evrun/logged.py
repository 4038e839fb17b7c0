"""What became of many logs: `log_many` and `iter_log_many` say it one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from evrun.errors import LogsFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from evrun.errors import EvrunError
    from evrun.results import CreatedLog


@frozen(kw_only=True)
class LoggedItem:
    """One of many: `log` if it is stored, else `error`."""

    index: int
    """Its place among the items that were handed over, from 0."""
    log: CreatedLog | None = None
    error: EvrunError | None = None
    again: Mapping[str, Any] | None = None
    """What to hand over to try a failed one again: under the same key, so that a server that
    recognises keys stores it once, whatever became of it."""

    def result(self) -> CreatedLog:
        """Return the log. Raises the error."""
        if self.log is None:
            assert self.error is not None  # noqa: S101 - one of them is there
            raise self.error
        return self.log


@frozen
class LoggedItems:
    """What became of all of them, in the order in which they were handed over."""

    items: tuple[LoggedItem, ...]

    def __iter__(self) -> Iterator[LoggedItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> LoggedItem:
        return self.items[index]

    @property
    def logs(self) -> tuple[CreatedLog, ...]:
        """The logs that are stored."""
        return tuple(each.log for each in self.items if each.log is not None)

    @property
    def failed(self) -> tuple[LoggedItem, ...]:
        """Those that are not, or may not be: `error` says which."""
        return tuple(each for each in self.items if each.error is not None)

    @property
    def again(self) -> tuple[Mapping[str, Any], ...]:
        """What to hand over to try all that failed again."""
        return tuple(each.again for each in self.items if each.again is not None)

    def raise_on_error(self) -> Self:
        """Return it if all are stored. Raises `LogsFailedError`."""
        if failed := self.failed:
            first = failed[0]
            raise LogsFailedError(
                f"{len(failed)} of {len(self.items)} logs failed; the others are stored. The "
                f"first, at {first.index}: {first.error} What `again` of this error holds can be "
                "handed to log_many once more: nothing is stored twice by a server that "
                "recognises keys.",
                errors=tuple((each.index, each.error) for each in failed if each.error),
                again=self.again,
            )
        return self
