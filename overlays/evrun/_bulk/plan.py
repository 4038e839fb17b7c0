"""Many logs to one run: what is sent, and what each answer means. No I/O.

Batches where the server has announced them, single calls where not. `ManyLogs.log` is a generator:
it yields calls that may be made at the same time, and is sent the result of each. `drive` and
`drive_async` make them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
from attrs import evolve

from evrun._bulk.chunks import MOST_BYTES, MOST_SECONDS, Chunker, Entry, halves, key_of, waves
from evrun._calls import bodies
from evrun._transport import messages
from evrun._transport.exchange import Trail, parser_error
from evrun._transport.short_repr import short_repr
from evrun.errors import (
    ContentTooLargeError,
    EvrunError,
    InvalidRequestError,
    StatusError,
)
from evrun.ids import EvaluationRunId
from evrun.logged import YIELDED, InvalidItemError, LoggedItem, LoggedItems, LogsStoppedError
from evrun_api.models import EvaluationLogItem, LogRequest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import httpx

    from evrun._calls.call import Call
    from evrun._transport.exchange import Announced
    from evrun.results import CreatedLog, EvaluationRun, LogOutcome, LogOutcomes

    CallResult = tuple[Any, httpx.Response] | EvrunError
    """A result with the answer that it was made of, or the error."""
    Flow = Generator[Sequence[Call[Any]], Sequence[CallResult], list[LoggedItem]]
    Gathered = Entry | LoggedItem
    """What is to be sent, or has been refused before that."""

MOST_AT_ONCE: Final = 1000
"""Logs in one request, unless told otherwise; fewer, if the server takes fewer."""
_SINGLE: Final = 16  # logs gathered for each single call at a time: all are kept busy
_NOT_THERE: Final = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
)
_MOST_FORBIDDEN: Final = 2  # logs in a row: one may be forbidden for a reason of its own
_MAY_BE_OF_THE_RUN: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_TAKES_NO_LOGS: Final = ("pending", "completed", "cancelled")


class Operations(Protocol):
    """The calls that many logs are made of: those of `evaluations`."""

    def get(
        self, evaluation_id: object, *, evaluatee_id: object, evaluator_aggregates: bool | None
    ) -> Call[EvaluationRun]: ...

    def log_batch(
        self, evaluation_id: object, *, logs: Iterable[Mapping[str, Any]]
    ) -> Call[LogOutcomes]: ...

    def log(
        self,
        evaluation_id: object,
        *,
        datapoint_id: object,
        log: Mapping[str, Any],
        evaluatee_id: object,
        idempotency_key: str | None = None,
    ) -> Call[CreatedLog]: ...


class ManyLogs:
    """One call of `log_many`. Raises `InvalidRequestError` for what cannot be meant."""

    def __init__(
        self,
        operations: Operations,
        announced: Announced,
        evaluation_id: object,
        *,
        concurrency: int,
        batch_size: int | None,
    ) -> None:
        self._operations = operations
        self._announced = announced
        self._run_id = EvaluationRunId.parse(evaluation_id, "evaluation_id")
        self.concurrency = _positive(concurrency, "concurrency")
        self._batch_size = (
            MOST_AT_ONCE if batch_size is None else _positive(batch_size, "batch_size")
        )
        self._chunker: Chunker[Gathered] = Chunker(self._batch_size, MOST_BYTES, MOST_SECONDS)
        self.refusal: EvrunError | None = None
        """Why every other log would be refused too: no more items are to be taken."""
        self.broken: BaseException | None = None
        """The foreign exception that ended a call, such as an error of a user's middleware."""
        self._forbidden = 0  # logs in a row

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be sent, and no more items are to be taken."""
        return self.refusal is not None or self.broken is not None

    def broken_by(self, error: BaseException) -> EvrunError:
        """Return the outcome of a call that raised what is no outcome; nothing is sent after it."""
        if self.broken is None:
            self.broken = error
        unknown = EvrunError(
            f"The call ended with {short_repr(error)}, and it is not known whether the log was "
            "stored. Hand over `again`: a server that recognises keys stores it once."
        )
        unknown.__cause__ = error
        return unknown

    def not_sent(self) -> EvrunError:
        """Return the outcome of what is left when nothing more is to be sent."""
        if self.broken is not None:
            why = f"an earlier call ended with {short_repr(self.broken)}."
        else:
            why = (
                f"an earlier log was refused in a way that would meet this one too. {self.refusal}"
            )
        error = EvrunError(f"It was not sent: {why}")
        error.__cause__ = self.refusal if self.broken is None else self.broken
        return error

    def first(self) -> Call[EvaluationRun]:
        """Return what is asked before an item is taken: the run.

        It is harmless, its answer announces what the server can do, and a wrong key, address or
        run is found before outputs are made for nothing.
        """
        return self._operations.get(self._run_id, evaluatee_id=None, evaluator_aggregates=None)

    def chunker(self, run: EvaluationRun) -> Chunker[Gathered]:
        """Return what gathers items that are sent together, once the server has answered.

        Raises `InvalidRequestError` for a run that takes no logs.
        """
        if error := _takes_none(run):
            raise error
        if self._announced.batch:
            most = min(self._batch_size, self._announced.batch)
        else:
            most = self.concurrency * _SINGLE
        self._chunker = Chunker(most, MOST_BYTES, MOST_SECONDS)
        return self._chunker

    def take(self, index: int, item: object) -> tuple[Gathered, int]:
        """Return an item as it is sent, and its bytes; or why it cannot be.

        Raises `InvalidItemError` for wrong fields.
        """
        parameter = f"items[{index}]"
        try:
            body = bodies.log_item(item, parameter)
            key = key_of(body.get("idempotency_key"), f"{parameter}.idempotency_key")
            body["idempotency_key"] = key
            size = _size(body, parameter)
        except InvalidRequestError as error:
            if _wrong_fields(item):
                raise InvalidItemError(
                    str(error), parameter=error.parameter, item=item, shown=short_repr(item)
                ) from None
            return LoggedItem(index=index, error=error, again=_as_given(item)), 0
        return Entry(index=index, key=key, item=body, size=size), size

    def log(self, chunk: Sequence[Gathered]) -> Flow:
        """Log a chunk and return what became of it, in order."""
        done = [each for each in chunk if isinstance(each, LoggedItem)]
        parts: list[Sequence[Entry]] = [[each for each in chunk if isinstance(each, Entry)]]
        while parts:
            part = parts.pop(0)
            if self.ended:
                done += [_failed(entry, self.not_sent()) for entry in part]
            elif part and self._announced.batch:
                done += yield from self._together(part, parts)
            elif part:
                done += yield from self._singly(part)
        return sorted(done, key=lambda each: each.index)

    def end(self, of_items: BaseException | None) -> None:
        """Raise why not all items were taken, if they were not. `of_items`: what they raised."""
        error = of_items if self.broken is None else self.broken
        if error is not None:
            raise error
        if self.refusal is None:
            return
        raise LogsStoppedError(
            f"No more logs were sent, and no more items taken: {self.refusal}{YIELDED}",
            result=LoggedItems(()),
        ) from self.refusal

    def _together(self, part: Sequence[Entry], parts: list[Sequence[Entry]]) -> Flow:
        (result,) = yield (self._batch(part),)
        if isinstance(result, ContentTooLargeError) and len(part) > 1:
            parts[:0] = halves(part)
            self._chunker.most_bytes = max(sum(each.size for each in part) // 2, 1)
            return []
        done = self._logged_items(part, result)
        yield from self._find_refusal(done)
        if not self.ended and isinstance(result, StatusError) and result.status in _NOT_THERE:
            # The run is there: another server has taken this one's place.
            self._announced.batch = 0
            parts.insert(0, part)
            return []
        return done

    def _batch(self, part: Sequence[Entry]) -> Call[LogOutcomes]:
        call = self._operations.log_batch(self._run_id, logs=[entry.item for entry in part])
        return evolve(call, compressed=True)

    def _singly(self, part: Sequence[Entry]) -> Flow:
        done: list[LoggedItem] = []
        for wave in waves(part):
            if self.ended:
                done += [_failed(entry, self.not_sent()) for entry in wave]
                continue
            results = yield [self._single(entry) for entry in wave]
            items = [
                LoggedItem(index=entry.index, log=result[0])
                if isinstance(result, tuple)
                else _failed(entry, result)
                for entry, result in zip(wave, results, strict=True)
            ]
            yield from self._find_refusal(items)
            done += items
        return done

    def _find_refusal(self, items: Sequence[LoggedItem]) -> Flow:
        """Find out whether all were refused for a reason that all others would meet.

        A status alone does not tell: 404 may be of the run or of a session that a log names. Only
        401 is always of the key, and 403 if it comes again at once.
        """
        statuses = [
            each.error.status if isinstance(each.error, StatusError) else None for each in items
        ]
        for status in statuses:
            self._forbidden = self._forbidden + 1 if status == HTTPStatus.FORBIDDEN else 0
        if any(each.log for each in items):  # sent at the same time: none is the later one
            self._forbidden = 0
        if HTTPStatus.UNAUTHORIZED in statuses:
            self.refusal = items[statuses.index(HTTPStatus.UNAUTHORIZED)].error
        elif self._forbidden >= _MOST_FORBIDDEN:
            self.refusal = items[-1].error
        elif set(statuses).issubset(_MAY_BE_OF_THE_RUN):
            (run,) = yield (self.first(),)
            if isinstance(run, tuple):
                self.refusal = _takes_none(run[0])
            elif isinstance(run, StatusError) and run.status in _MAY_BE_OF_THE_RUN:
                self.refusal = run
        return []

    def _single(self, entry: Entry) -> Call[CreatedLog]:
        return self._operations.log(
            self._run_id,
            datapoint_id=entry.item["datapoint_id"],
            log=entry.item["log"],
            evaluatee_id=entry.item.get("evaluatee_id"),
            idempotency_key=entry.key,
        )

    def _logged_items(self, part: Sequence[Entry], result: CallResult) -> list[LoggedItem]:
        """Return what became of each log of a batch."""
        if not isinstance(result, tuple):
            return [_failed(entry, result) for entry in part]
        parsed, response = result
        results: tuple[LogOutcome, ...] = parsed.results
        if len(results) != len(part):
            problem = f"it holds {len(results)} results for {len(part)} logs"
            error = parser_error(problem, response)
            return [_failed(entry, error) for entry in part]
        return [
            _logged_item(entry, place, each, response)
            for place, (entry, each) in enumerate(zip(part, results, strict=True))
        ]


def _takes_none(run: EvaluationRun) -> InvalidRequestError | None:
    """Return why no log of any run in this status is taken. A server may know more statuses."""
    if run.status not in _TAKES_NO_LOGS:
        return None
    way = (
        "A cancelled one stays so: create a new run."
        if run.status == "cancelled"
        else f"client.run({str(run.id)!r}).start() sets it running."
    )
    return InvalidRequestError(
        f"evaluation_id: {run.id} is {run.status}, and only a running run takes logs. {way}",
        parameter="evaluation_id",
    )


def _wrong_fields(item: object) -> bool:
    """Whether an item that was refused has fields that no value could make right."""
    if isinstance(item, EvaluationLogItem):
        item = {name: getattr(item, name, None) for name in _REQUIRED}
    if not isinstance(item, Mapping):
        return True
    try:
        own = dict(islice(item.items(), _MOST_FIELDS))
        log = own.get("log", {})
        inside = set(islice(log, _MOST_FIELDS)) if isinstance(log, Mapping) else set()
    except Exception:  # noqa: BLE001 - a mapping of its own kind, which is not to be read
        return False
    return (
        not _REQUIRED.issubset(own)
        or not _FIELDS.issuperset(own)
        or not _LOG_FIELDS.issuperset(inside)
        or not isinstance(log, Mapping | LogRequest | None)
    )


def _as_given(item: object) -> Mapping[str, Any] | None:
    """Return an item as a mapping that can be handed over once more; None if it is none."""
    if isinstance(item, EvaluationLogItem):
        try:
            return item.to_dict()
        except Exception:  # noqa: BLE001 - a wrong value in it may do anything
            return None
    return item if isinstance(item, Mapping) else None


def _fields(model: type[Any]) -> frozenset[str]:
    # The generator appends "_" to the names of Python's builtins, and has a field of its own.
    names = attrs.fields_dict(model)
    return frozenset(name.removesuffix("_") for name in names) - {"additional_properties"}


_REQUIRED: Final = frozenset({"datapoint_id", "log"})
_FIELDS: Final = _fields(EvaluationLogItem)
_LOG_FIELDS: Final = _fields(LogRequest)
_MOST_FIELDS: Final = 100  # more than the contract has


def _positive(value: object, parameter: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(
            f"{parameter}={value!r}: expected a whole number, 1 or more.", parameter=parameter
        )
    return value


def _size(body: dict[str, Any], parameter: str) -> int:
    """Return the bytes of an item. Raises `InvalidRequestError` for what no JSON can hold."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return len(text.encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"{parameter}: it cannot be sent ({error}). Bodies are JSON in UTF-8.",
            parameter=parameter,
        ) from error


def _failed(entry: Entry, error: EvrunError) -> LoggedItem:
    return LoggedItem(index=entry.index, error=error, again=entry.item)


def _logged_item(
    entry: Entry, place: int, result: LogOutcome, response: httpx.Response
) -> LoggedItem:
    if result.status == HTTPStatus.CREATED and result.log is not None:
        return LoggedItem(index=entry.index, log=result.log)
    if HTTPStatus(200) <= result.status < HTTPStatus(300):
        problem = f"results[{place}] has the status {result.status} and no log"
        return _failed(entry, parser_error(problem, response))
    error = messages.part_error(
        result.status, result.detail, response, {"logs": [entry.item]}, f"items[{entry.index}]"
    )
    trail = Trail.of(response)
    error.attempts, error.elapsed = trail.attempts, trail.elapsed
    error.idempotency_key = entry.key
    return _failed(entry, error)
