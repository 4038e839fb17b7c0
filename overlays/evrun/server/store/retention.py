"""Clearing a database of runs that are over and old, in small steps between which others write.

A run goes whole, or stays whole: aggregates of a run that is kept never change. What other things
refer to, or what a new run may want (projects, datasets, configs, evaluators, keys), stays.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update

from evrun.server.db.tables import (
    evaluatees,
    evaluation_runs,
    idempotency_keys,
    log_feedback,
    logs,
    results,
    run_evaluators,
    sessions,
)
from evrun.server.store.idempotency import expired, forget_expired

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from evrun.server.db.database import Database

T = TypeVar("T")

_STEP = 200  # rows that one transaction deletes; others wait for it some milliseconds
_PAUSE = 0.005  # seconds after each, at least

_OVER = ("completed", "cancelled")
"""The statuses under which a run takes no more logs: it can be told to be old."""


@frozen(kw_only=True)
class Outcome:
    """How much went, or would go."""

    runs: int = 0
    logs: int = 0
    results: int = 0
    sessions: int = 0
    idempotency_keys: int = 0
    kept: int = 0
    """Runs that are as old and stay, because they are pending or running."""


def preview(database: Database, before: datetime) -> Outcome:
    """Return what `prune` would delete now."""

    def work(connection: Connection) -> Outcome:
        def count(query: Select[Any]) -> int:
            counted = select(func.count()).select_from(query.subquery())
            return connection.execute(counted).scalar_one()

        old = select(evaluation_runs.c.id).where(_old(before), _over())
        return Outcome(
            runs=count(old),
            logs=count(select(logs.c.id).where(logs.c.run_id.in_(old))),
            results=count(select(results.c.id).where(results.c.run_id.in_(old))),
            sessions=count(
                select(sessions.c.id).where(
                    sessions.c.updated_at < before,
                    ~_has_logs(or_(logs.c.run_id.is_(None), logs.c.run_id.not_in(old))),
                )
            ),
            idempotency_keys=count(select(idempotency_keys.c.key).where(expired())),
            kept=count(select(evaluation_runs.c.id).where(_old(before), ~_over())),
        )

    return database.read(work)


def prune(database: Database, before: datetime) -> Outcome:
    """Delete what ended before that instant, and return how much it was.

    - Runs that are completed or cancelled and that, with their logs, have not changed since: with
      their logs, feedback, results and evaluatees. The first step cancels a run, which is final, so
      that nobody opens it again while it goes. Killed in between, `prune` goes on the next time.
    - A log that stays loses its parent if that goes.
    - Sessions that have not been used since and have no log any more.
    - Idempotency keys past their lifetime, whatever `before` is.
    """
    runs = 0
    gone = {"logs": 0, "results": 0}
    last = ""
    while (run_id := database.read(partial(_next_run, before=before, after=last))) is not None:
        last = run_id
        if not _step(database, partial(_close, run_id=run_id, before=before)):
            continue  # Somebody has just opened it again.
        while step := _step(database, partial(_delete_logs, run_id=run_id)):
            gone["logs"] += step[0]
            gone["results"] += step[1]
        _step(database, partial(_delete_run, run_id=run_id))
        runs += 1
    return Outcome(
        runs=runs,
        **gone,
        sessions=_repeat(database, partial(_delete_sessions, before=before)),
        idempotency_keys=_repeat(database, partial(forget_expired, number=_STEP)),
        kept=database.read(partial(_count_kept, before=before)),
    )


def _step(database: Database, work: Callable[[Connection], T]) -> T:
    """Return `work`'s answer, and leave others at least as long as it took."""
    started = time.monotonic()
    answer = database.write(work)
    time.sleep(max(_PAUSE, time.monotonic() - started))
    return answer


def _repeat(database: Database, work: Callable[[Connection], int]) -> int:
    total = 0
    while count := _step(database, work):
        total += count
    return total


def _next_run(connection: Connection, *, before: datetime, after: str) -> str | None:
    query = (
        select(evaluation_runs.c.id)
        .where(_old(before), _over(), evaluation_runs.c.id > after)
        .order_by(evaluation_runs.c.id)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _close(connection: Connection, *, run_id: str, before: datetime) -> bool:
    """Cancel a run for good. Return whether it is still old and over."""
    closed = connection.execute(
        update(evaluation_runs)
        .where(evaluation_runs.c.id == run_id, _old(before), _over())
        .values(status="cancelled")  # `updated_at` stays: it is as old as it was
    )
    return closed.rowcount > 0


def _delete_logs(connection: Connection, *, run_id: str) -> tuple[int, int] | None:
    """Delete some logs of a run. Return how many, and how many results; None if there are none."""
    ids = connection.execute(select(logs.c.id).where(logs.c.run_id == run_id).limit(_STEP))
    going = ids.scalars().all()
    if not going:
        return None
    judged = connection.execute(delete(results).where(results.c.log_id.in_(going)))
    connection.execute(delete(log_feedback).where(log_feedback.c.log_id.in_(going)))
    connection.execute(update(logs).where(logs.c.parent_id.in_(going)).values(parent_id=None))
    connection.execute(delete(logs).where(logs.c.id.in_(going)))
    return len(going), judged.rowcount


def _delete_run(connection: Connection, *, run_id: str) -> None:
    for table in (run_evaluators, evaluatees):
        connection.execute(delete(table).where(table.c.run_id == run_id))
    connection.execute(delete(evaluation_runs).where(evaluation_runs.c.id == run_id))


def _delete_sessions(connection: Connection, *, before: datetime) -> int:
    unused = select(sessions.c.id).where(sessions.c.updated_at < before, ~_has_logs()).limit(_STEP)
    return connection.execute(delete(sessions).where(sessions.c.id.in_(unused))).rowcount


def _count_kept(connection: Connection, *, before: datetime) -> int:
    kept = select(func.count()).select_from(evaluation_runs).where(_old(before), ~_over())
    return connection.execute(kept).scalar_one()


def _old(before: datetime) -> ColumnElement[bool]:
    """Return whether neither a run nor any of its logs has changed since."""
    later = exists().where(logs.c.run_id == evaluation_runs.c.id, logs.c.updated_at >= before)
    return and_(evaluation_runs.c.updated_at < before, ~later)


def _over() -> ColumnElement[bool]:
    return evaluation_runs.c.status.in_(_OVER)


def _has_logs(*which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(logs.c.session_id == sessions.c.id, *which)
