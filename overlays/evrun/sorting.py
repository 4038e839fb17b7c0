"""What lists are sorted by: columns by their names, and values for columns that carry a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    from evrun.ids import EvaluatorId, PlainStr

__all__ = ["EvaluatorSort", "FeedbackSort", "LogSort", "Order", "RunSort"]

Order = Literal["asc", "desc"]

RunColumn = Literal[
    "dataset.asc", "dataset.desc", "config.asc", "config.desc", "status.asc", "status.desc"
]
LogColumn = Literal[
    "source.asc", "source.desc", "model.asc", "model.desc", "timestamp.asc", "timestamp.desc"
]


@frozen
class EvaluatorSort:
    """Sort runs by an evaluator's mean verdict; runs without one come last."""

    evaluator_id: EvaluatorId | PlainStr
    order: Order = "desc"


@frozen
class FeedbackSort:
    """Sort logs by their newest feedback of a kind, such as `rating`; logs without come last."""

    type: str
    order: Order = "asc"


RunSort = RunColumn | EvaluatorSort
LogSort = LogColumn | FeedbackSort
