"""`evrun.sorting` as the contract's `sort` parameters take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from evrun._calls.arguments import listed, text
from evrun._calls.fitting import nearest
from evrun._transport.json_data import described
from evrun.errors import InvalidRequestError
from evrun.ids import EvaluatorId
from evrun.sorting import EvaluatorSort, FeedbackSort, LogColumn, LogSort, Order, RunColumn, RunSort
from evrun_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Iterable


def run_sort(sort: Iterable[RunSort] | None) -> list[str] | Unset:
    """Return the columns that runs are sorted by. Raises `InvalidRequestError`."""
    if sort is None:
        return UNSET
    return [_run_column(each, f"sort[{n}]") for n, each in enumerate(listed(sort, "sort"))]


def log_sort(sort: Iterable[LogSort] | None) -> list[str] | Unset:
    """Return the columns that logs are sorted by. Raises `InvalidRequestError`."""
    if sort is None:
        return UNSET
    return [_log_column(each, f"sort[{n}]") for n, each in enumerate(listed(sort, "sort"))]


def _run_column(sort: RunSort, parameter: str) -> str:
    if isinstance(sort, EvaluatorSort):
        evaluator_id = EvaluatorId.parse(sort.evaluator_id, f"{parameter}.evaluator_id")
        return f"evaluator-{evaluator_id}.{_order(sort.order, parameter)}"
    return _column(sort, get_args(RunColumn), "an EvaluatorSort", parameter)


def _log_column(sort: LogSort, parameter: str) -> str:
    if isinstance(sort, FeedbackSort):
        kind = text(sort.type, f"{parameter}.type")
        if not kind or "." in kind:
            raise InvalidRequestError(
                f"{parameter}: logs cannot be sorted by feedback of the type {kind!r}: the "
                "API takes a name without a dot.",
                parameter=parameter,
            )
        return f"feedback-{kind}.{_order(sort.order, parameter)}"
    return _column(sort, get_args(LogColumn), "a FeedbackSort", parameter)


def _order(order: str, parameter: str) -> str:
    return _column(order, get_args(Order), "", f"{parameter}.order")


def _column(value: object, known: tuple[str, ...], other: str, parameter: str) -> str:
    if isinstance(value, str) and value in known:
        return value
    alternatives = f"{', '.join(known)}, or {other}" if other else " or ".join(known)
    raise InvalidRequestError(
        f"{parameter}: got {described(value)}{nearest(value, known)}. Possible: {alternatives}.",
        parameter=parameter,
    )
