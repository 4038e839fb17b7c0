"""How many logs the store takes, against SQLite itself: the same rows, as durable."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _benchmark.case import Figure, Unusable
from _benchmark.runs import start_run
from evrun import Evrun
from evrun.server import Database
from evrun.server.api import batches
from evrun.server.api.idempotency import read_attempt
from evrun.server.db import organisations
from evrun.server.db.group_commit import BATCH
from evrun.server.store.scope import Scope
from evrun_models import CreateEvaluationLogRequest, LogRequest  # noqa: TID251 - what the server makes of a body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from _benchmark.case import Inputs
    from _benchmark.runs import Run

LOGS = 1280  # in one measurement
ROUNDS = 4  # for each repetition: a short one meets a busy machine or does not
OUTPUT = "x" * 800
TABLES = ("logs", "idempotency_keys")


def store(inputs: Inputs) -> list[Figure]:
    """Log under idempotency keys, as many to a commit as the server does; insert the same rows.

    What a request costs before it is read and checked is not in it: that is `writes`.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, beside = Path(folder, "evals.db"), Path(folder, "raw.db")
        with Evrun.local(file) as client:
            runs = [start_run(client, LOGS) for _ in range(ROUNDS * inputs.repeat)]
        shutil.copy(file, beside)
        database = Database(f"sqlite:///{file}")
        raw = sqlite3.connect(beside, isolation_level=None)
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA foreign_keys = ON")  # the same tables hold their rows together
        ours, theirs = [], []
        for run in runs:  # in turn: both meet the same machine, and a file of the same size
            seen = _rowids(file)
            ours.append(_log(database, run) / LOGS)
            theirs.append(_insert(raw, _rows(file, seen)) / LOGS)
        database.close()
        raw.close()
    return [
        Figure("store: logs", 1 / median(ours), "/s"),
        Figure(
            "store: the same over executemany",
            median(their / our for our, their in zip(ours, theirs, strict=True)),
            "x",
            at_least=1 / 3,
        ),
    ]


def _log(database: Database, run: Run) -> float:
    """Return the seconds that the store takes to log an output for each datapoint."""
    organisation_id = database.read(organisations.find_default) or ""
    free = threading.Event()

    def hold(_: Connection) -> None:
        free.wait()

    def work(connection: Connection, asked: Sequence[batches.Item]) -> Any:
        return batches.log_each(Scope(connection, organisation_id), run.id, asked)

    database.submit(hold)  # until all that is to be logged waits
    answers = [database.ask("log", work, _item(each)) for each in run.datapoint_ids]
    start = time.perf_counter()
    free.set()
    answers[-1].result()  # the others are there: they are done in order
    seconds = time.perf_counter() - start
    if any(answer.result().status != HTTPStatus.CREATED for answer in answers):
        raise Unusable("a log was refused")
    return seconds


def _rowids(file: Path) -> dict[str, int]:
    """Return the last row of each table."""
    with closing(sqlite3.connect(file)) as connection:
        return {
            table: connection.execute(
                f"SELECT coalesce(max(rowid), 0) FROM {table}"  # noqa: S608 - our own names
            ).fetchone()[0]
            for table in TABLES
        }


def _rows(file: Path, seen: dict[str, int]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what each table got since, in order."""
    with closing(sqlite3.connect(file)) as connection:
        return {
            table: connection.execute(
                f"SELECT * FROM {table} WHERE rowid > ? ORDER BY rowid",  # noqa: S608
                [last],
            ).fetchall()
            for table, last in seen.items()
        }


def _insert(raw: sqlite3.Connection, wanted: dict[str, list[tuple[Any, ...]]]) -> float:
    """Return the seconds that SQLite takes to insert rows."""
    start = time.perf_counter()
    for first in range(0, LOGS, BATCH):
        raw.execute("BEGIN IMMEDIATE")
        for table, rows in wanted.items():
            places = ", ".join("?" * len(rows[0]))
            raw.executemany(
                f"INSERT INTO {table} VALUES ({places})",  # noqa: S608
                rows[first : first + BATCH],
            )
        raw.execute("COMMIT")
    return time.perf_counter() - start


def _item(datapoint_id: str) -> batches.Item:
    body = CreateEvaluationLogRequest(datapoint_id=datapoint_id, log=LogRequest(output=OUTPUT))
    attempt = read_attempt([datapoint_id], "/", body.model_dump_json().encode())
    return batches.Item.of(None, body, attempt)
