"""How many logs the store takes, against SQLite itself: the same rows, as durable."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from concurrent.futures import wait
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _benchmark.case import Figure
from _benchmark.runs import start_run
from evrun import Evrun
from evrun.server import Database, batches
from evrun.server.group_commit import BATCH
from evrun.server.idempotency import read_attempt
from evrun.server.store import organisations
from evrun.server.store.scope import Scope
from evrun_models import LogRequest  # noqa: TID251 - what the server makes of a body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from _benchmark.case import Inputs
    from _benchmark.runs import Run

LOGS = 6400
OUTPUT = "x" * 800
TABLES = ("logs", "idempotency_keys")


def store(inputs: Inputs) -> list[Figure]:
    """Log under idempotency keys, as many to a commit as the server does, and copy the rows.

    What a request costs before it is read and checked is not in it: that is `writes`.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "evals.db")
        with Evrun.local(file) as client:
            runs = [start_run(client, LOGS) for _ in range(inputs.repeat)]
        database = Database(f"sqlite:///{file}")
        logging = [_log(database, run) for run in runs]
        database.close()
        raw = sqlite3.connect(file, isolation_level=None)
        raw.execute("PRAGMA synchronous = FULL")
        copied = {
            table: raw.execute(
                f"SELECT * FROM {table} ORDER BY rowid LIMIT {LOGS}"  # noqa: S608 - our own names
            ).fetchall()
            for table in TABLES
        }

        copying = [_copy(raw, copied) for _ in range(inputs.repeat)]
        raw.close()
    ours, theirs = (median(seconds) / LOGS for seconds in (logging, copying))
    return [
        Figure("store: logs", 1 / ours, "/s"),
        Figure("store: the same over executemany", theirs / ours, "x", at_least=0.3),
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
    wait(answers)
    return time.perf_counter() - start


def _copy(raw: sqlite3.Connection, copied: dict[str, list[tuple[Any, ...]]]) -> float:
    """Return the seconds that SQLite takes to insert rows, which are there already."""
    for table in TABLES:
        raw.execute(f"DELETE FROM {table}")  # noqa: S608
    start = time.perf_counter()
    for first in range(0, LOGS, BATCH):
        raw.execute("BEGIN IMMEDIATE")
        for table, rows in copied.items():
            places = ", ".join("?" * len(rows[0]))
            raw.executemany(
                f"INSERT INTO {table} VALUES ({places})",  # noqa: S608
                rows[first : first + BATCH],
            )
        raw.execute("COMMIT")
    return time.perf_counter() - start


def _item(datapoint_id: str) -> batches.Item:
    log = LogRequest(output=OUTPUT)
    attempt = read_attempt([datapoint_id], "POST", "/", log.model_dump_json().encode())
    return batches.Item(datapoint_id, None, log, attempt)
