"""What became of many logs, one by one, and what `log_many` and `iter_log_many` raise."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from evrun._base.display import cell, table
from evrun.errors import EvrunError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from evrun.results import CreatedLog

YIELDED: Final = " Each item that was yielded as failed has its `again`."
"""How `LogsStoppedError` ends where nothing is attached to it."""
_ATTACHED: Final = " `again` of this error holds what was taken and is not stored."


@frozen(kw_only=True)
class LoggedItem:
    """One of many: `log` if it is stored, else `error`."""

    index: int
    """Its place among the items that were handed over, from 0."""
    log: CreatedLog | None = None
    error: EvrunError | None = None
    again: Mapping[str, Any] | None = None
    """What to hand over to try a failed one again: under the same key, so that a server that
    recognises keys stores it once, whatever became of it. None in a pickled one, if it holds what
    cannot be pickled."""

    def result(self) -> CreatedLog:
        """Return the log. Raises the error."""
        if self.log is None:
            assert self.error is not None  # noqa: S101 - one of them is there
            raise self.error
        return self.log

    def __reduce__(self) -> tuple[Callable[..., LoggedItem], tuple[Any, ...]]:
        # `again` is what the caller handed over, which may hold anything.
        again = self.again if _pickles(self.again) else None
        return _item, (self.index, self.log, self.error, again)


def _item(
    index: int, log: CreatedLog | None, error: EvrunError | None, again: Mapping[str, Any] | None
) -> LoggedItem:
    return LoggedItem(index=index, log=log, error=error, again=again)


def _pickles(value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - a value of the caller's may raise anything
        return False
    return True


@frozen(repr=False)
class LoggedItems:
    """What became of all of them, in the order in which they were handed over."""

    items: tuple[LoggedItem, ...]

    def __iter__(self) -> Iterator[LoggedItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> LoggedItem:
        return self.items[index]

    def __repr__(self) -> str:
        said = f"{len(self.logs)} stored"
        if failed := self.failed:
            kind, message = type(failed[0].error).__name__, str(failed[0].error)
            said += f", {len(failed)} FAILED, the first at {failed[0].index}: {kind}: {message}"
        return f"<{type(self).__name__}: {said}>"

    def _repr_html_(self) -> str:
        """Return a table of the items that failed, for a notebook."""
        rows = [
            (str(each.index), type(each.error).__name__, cell(str(each.error)))
            for each in self.failed
        ]
        return table(
            f"{len(self.logs)} stored, {len(rows)} failed", ("index", "error", "message"), rows
        )

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
            raise LogsFailedError(
                f"{len(failed)} of {len(self.items)} logs failed, {len(self.logs)} are stored. The "
                f"first, at {failed[0].index}: {failed[0].error} What `again` of this error holds "
                "can be handed to log_many once more: nothing is stored twice by a server that "
                "recognises keys. `result` holds what became of each.",
                result=self,
            )
        return self


class InvalidItemError(InvalidRequestError):
    """One of many logs has the wrong fields: a mistake in the program, which would meet all others.

    What was taken before it has been sent. It was not, and nothing after it was taken.
    """

    result: LoggedItems | None = None
    """What became of those before; None from `iter_log_many`, which has yielded that."""

    def __init__(self, message: str, *, parameter: str | None, item: object, shown: str) -> None:
        super().__init__(message, parameter=parameter)
        self._shown = shown
        self.item = item
        """What was handed over; in a pickled error its short `repr`, if it cannot be pickled."""

    def __reduce__(self) -> tuple[Callable[..., EvrunError], tuple[Any, ...]]:
        rebuild, (cls, args, state) = super().__reduce__()
        if not _pickles(self.item):
            state = {**state, "item": self._shown}
        return rebuild, (cls, args, state)


class LogsFailedError(EvrunError):
    """Some of many logs failed; the others are stored."""

    def __init__(self, message: str, *, result: LoggedItems) -> None:
        super().__init__(message)
        self.result = result
        """What became of all, also of those that are stored."""

    @property
    def errors(self) -> tuple[tuple[int, EvrunError], ...]:
        """The place of each failed item among all, and its error."""
        return tuple((each.index, each.error) for each in self.result.failed if each.error)

    @property
    def again(self) -> tuple[Mapping[str, Any], ...]:
        """The failed items with their keys, to be handed to `log_many` once more."""
        return self.result.again


class LogsStoppedError(LogsFailedError):
    """The run takes no more logs, or the key is no longer good: no more items were taken.

    From `iter_log_many`, which has yielded what became of those that were, `result` is empty.
    """


@contextmanager
def attached(done: list[LoggedItem]) -> Iterator[None]:
    """Attach what became of the items so far to what ends a call before all were taken."""
    try:
        yield
    except BaseException as error:
        result = LoggedItems(tuple(done))
        where = "iter_log_many yields what became of each."
        if isinstance(error, InvalidItemError | LogsStoppedError):
            error.result = result
            where = "`result` of this error holds what became of each."
        if isinstance(error, LogsStoppedError):
            error.args = (str(error).removesuffix(YIELDED) + _ATTACHED,)
        if done:
            error.add_note(
                f"log_many: of the items taken before, {len(result.logs)} are stored and "
                f"{len(result.failed)} failed. {where}"
            )
        raise
