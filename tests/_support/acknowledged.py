"""What a server holds, to be held against what it acknowledged."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import select

from _support.load_threads import SESSIONS
from evrun.server import Database
from evrun.server.db.tables import idempotency_keys, log_feedback, logs, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from _support.load_threads import Load
    from evrun import Evrun


def all_logs(client: Evrun, project_id: str) -> dict[str, str | None]:
    """Return the outputs of a project's logs by id."""
    found: dict[str, str | None] = {}
    page = 0
    while True:
        records = client.logs.list(project_id, page=page, size=1000).records
        if not records:
            return found
        found |= {log.id: log.output for log in records}
        page += 1


def balance(url: str, load: Load) -> None:
    """Fail unless each acknowledged log is there exactly once and whole, and nothing else is."""
    database = Database(url)
    try:
        database.read(lambda connection: _balance(connection, load))
    finally:
        database.close()


def no_half_batches(url: str, load: Load) -> None:
    """Fail if of logs that went together some are there and others are not, answered or not."""
    database = Database(url)
    try:
        keys, outputs = database.read(_present)
    finally:
        database.close()
    for numbers in list(load.batches):
        for there, form in ((keys, "log-{}"), (outputs, "output {}")):
            found = sum(form.format(number) in there for number in numbers)
            assert found in {0, len(numbers)}, f"{found} of {len(numbers)} logs are there"


def _present(connection: Connection) -> tuple[set[str], set[str]]:
    keys = set(connection.execute(select(idempotency_keys.c.key)).scalars())
    bodies = connection.execute(select(logs.c.body)).scalars()
    return keys, {body["output"] for body in bodies}


def _balance(connection: Connection, load: Load) -> None:
    stored = {row.id: row for row in connection.execute(select(logs))}
    keys = connection.execute(select(idempotency_keys)).all()
    assert all(key.status in {200, 201} for key in keys), "a key is remembered without its answer"
    remembered = {
        key.key: json.loads(key.answer)["id"] for key in keys if key.key.startswith("log-")
    }
    assert remembered == load.acknowledged
    assert set(stored) == set(remembered.values())
    assert len(stored) == len(remembered), "two keys share a log"
    references = {row.id: row.reference_id for row in connection.execute(select(sessions))}
    assert len(set(references.values())) == len(references) <= SESSIONS
    for key, log_id in remembered.items():
        number = int(key.removeprefix("log-"))
        row, sent = stored[log_id], load.body(number)
        assert row.datapoint_id == sent["datapoint_id"]
        assert row.body["output"] == sent["log"]["output"]
        assert row.body["inputs"] == sent["log"]["inputs"]
        assert references[row.session_id] == sent["log"]["session_reference_id"]
    labels = Counter(
        (row.log_id, row.type, row.label) for row in connection.execute(select(log_feedback))
    )
    assert labels == {(log_id, "rating", "good"): 1 for log_id in stored}
    # One log of each datapoint counts.
    newest = Counter(row.datapoint_id for row in stored.values() if row.newest)
    assert newest == dict.fromkeys({row.datapoint_id for row in stored.values()}, 1)
