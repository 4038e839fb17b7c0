"""`evrun db prune`: what goes, what stays, and that others go on meanwhile."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, inspect, select, update

from _support.served import Api, Run, make_run
from evrun.server.db.tables import (
    METADATA,
    evaluation_runs,
    idempotency_keys,
    logs,
    sessions,
)
from evrun.server.store import retention
from evrun.server.store.retention import Outcome, preview, prune

if TYPE_CHECKING:
    from evrun.server.db.database import Database

pytestmark = pytest.mark.both_databases

AGO = timedelta(days=100)
MONTHS = timedelta(days=90)


def age(database: Database, *tables: Any, by: timedelta = AGO) -> None:
    """Make what is in the tables older than it is."""

    def work(connection: Any) -> None:
        for table in tables:
            column = "created_at" if table is idempotency_keys else "updated_at"
            then = datetime.now(UTC) - by
            connection.execute(update(table).values({column: then}))

    database.write(work)


def counts(database: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    return database.read(
        lambda connection: {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in METADATA.tables.items()
        }
    )


def before() -> datetime:
    return datetime.now(UTC) - MONTHS


def fill(run: Run, logged: int = 3) -> list[str]:
    """Log, judge and rate, in a session each."""
    ids = []
    for number in range(logged):
        feedback = {"type": "rating", "value": "good"}
        reference = f"session {number} of {run.id}"
        log = run.log(number % 3, output="x", feedback=feedback, session_reference_id=reference)
        run.result(log["id"], value=True)
        ids.append(log["id"])
    return ids


def test_an_old_run_goes_with_all_that_is_its_own(run: Run, database: Database) -> None:
    """Logs, results, feedback, evaluatees and sessions go; nothing of them is left anywhere."""
    empty = dict.fromkeys(("logs", "results", "log_feedback", "evaluatees", "sessions"), 0)
    fill(run)
    run.set("completed")
    age(database, evaluation_runs, logs, sessions)
    expected = Outcome(runs=1, logs=3, results=3, sessions=3)
    earlier = counts(database)
    assert preview(database, before()) == expected
    assert counts(database) == earlier
    assert prune(database, before()) == expected
    changed = {name: count for name, count in counts(database).items() if count != earlier[name]}
    assert changed == {**empty, "evaluation_runs": 0, "run_evaluators": 0}
    assert prune(database, before()) == Outcome()
    run.api.missing("Evaluations_get", id=run.id)
    assert run.api.ok("Projects_get", id=run.project_id)["data_count"] == 0


def test_what_is_left_serves_as_before(run: Run, database: Database) -> None:
    """Dataset, config and evaluator of a run that went make a new one."""
    fill(run)
    run.set("completed")
    age(database, evaluation_runs, logs, sessions)
    prune(database, before())
    body = {
        "config_id": run.config_id,
        "dataset_id": run.dataset_id,
        "evaluator_ids": [run.evaluator_id],
        "hl_generated": False,
    }
    again = run.api.ok("Evaluations_create", body, project_id=run.project_id)
    assert again["dataset_snapshot"]["datapoint_count"] == 3
    run.api.ok("Evaluations_updateStatus", {"status": "running"}, id=again["id"])
    run.api.ok("Evaluations_log", run.log_body(output="y"), evaluation_id=again["id"])


@pytest.mark.parametrize("status", ["pending", "running"])
def test_a_run_that_is_not_over_stays(api: Api, database: Database, status: str) -> None:
    """However old it is: somebody may still log to it. It is told."""
    run = make_run(api, status="running" if status == "running" else "pending")
    age(database, evaluation_runs)
    assert preview(database, before()) == Outcome(kept=1)
    assert prune(database, before()) == Outcome(kept=1)
    assert run.get()["status"] == status


@pytest.mark.parametrize("aged", [(evaluation_runs,), (logs,)], ids=["logs", "run"])
def test_a_run_that_changed_lately_stays_whole(
    run: Run, database: Database, aged: tuple[Any, ...]
) -> None:
    """A log that was changed, or a run that was completed, lately keeps all of it."""
    fill(run)
    run.set("completed")
    age(database, *aged)
    earlier = counts(database)
    assert prune(database, before()) == Outcome()
    assert counts(database) == earlier
    assert run.mean() == 1.0


def test_a_log_that_stays_loses_a_parent_that_goes(api: Api, database: Database) -> None:
    """The log itself is as it was."""
    old, new = make_run(api, project="old"), make_run(api, project="new")
    (parent,) = fill(old, 1)
    child = new.log(output="child", parent_id=parent)["id"]
    old.set("completed")
    age(database, evaluation_runs)
    age(database, logs)
    new.log(1, output="keeps the run")
    assert prune(database, before()).runs == 1
    shown = api.ok("Logs_get", id=child)
    assert (shown["output"], shown["parent_id"]) == ("child", None)


def test_expired_idempotency_keys_go_whatever_their_age(run: Run, database: Database) -> None:
    """A key is remembered for a day; within it, it stays."""
    body = run.log_body(output="x")
    run.api.ok("Evaluations_log", body, idempotency_key="k", evaluation_id=run.id)
    assert prune(database, before()).idempotency_keys == 0
    age(database, idempotency_keys, by=timedelta(hours=25))
    assert preview(database, before()).idempotency_keys == 1
    assert prune(database, before()).idempotency_keys == 1


def test_a_session_that_has_other_logs_stays(api: Api, database: Database) -> None:
    """A session goes with its last log."""
    old, new = make_run(api, project="old"), make_run(api, project="new")
    for run in (old, new):
        run.log(output="x", session_reference_id="shared")
    old.set("completed")
    age(database, evaluation_runs, logs, sessions)
    new.log(1, output="y")
    assert preview(database, before()).sessions == 0
    assert prune(database, before()) == Outcome(runs=1, logs=1)


def test_a_run_of_many_logs_goes_in_steps_between_which_others_write(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction deletes more than a step, and a writer gets its turn between two."""
    monkeypatch.setattr(retention, "_STEP", 5)
    old, new = make_run(api, project="old"), make_run(api, project="new")
    fill(old, 12)
    old.set("completed")
    age(database, evaluation_runs, logs)
    sizes: list[int] = []
    delete_logs = retention._delete_logs
    written: list[str] = []

    def observed(connection: Any, *, run_id: str) -> tuple[int, int] | None:
        step = delete_logs(connection, run_id=run_id)
        sizes.append(step[0] if step else 0)
        return step

    def log_between(database_: Database, work: Any) -> Any:
        answer = step(database_, work)
        thread = threading.Thread(target=lambda: written.append(new.log(output="x")["id"]))
        thread.start()
        thread.join(10)
        return answer

    step = retention._step
    monkeypatch.setattr(retention, "_delete_logs", observed)
    monkeypatch.setattr(retention, "_step", log_between)
    assert prune(database, before()) == Outcome(runs=1, logs=12, results=12)
    assert sizes == [5, 5, 2, 0]
    assert len(written) >= len(sizes)
    assert new.get()["status"] == "running"


def test_a_prune_that_was_killed_goes_on_the_next_time(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is cancelled, which is final, so that nobody logs to what is left of it."""
    monkeypatch.setattr(retention, "_STEP", 2)
    fill(run, 6)
    run.set("completed")
    age(database, evaluation_runs, logs)
    delete_logs = retention._delete_logs
    killed = iter([False, True])

    def mortal(connection: Any, *, run_id: str) -> tuple[int, int] | None:
        if next(killed):
            raise KeyboardInterrupt
        return delete_logs(connection, run_id=run_id)

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_delete_logs", mortal)
        with pytest.raises(KeyboardInterrupt):
            prune(database, before())
    assert run.get()["status"] == "cancelled"
    loc, kind = run.api.refused("Evaluations_updateStatus", {"status": "running"}, id=run.id)
    assert (loc, kind) == (["body", "status"], "status_transition")
    assert prune(database, before()) == Outcome(runs=1, logs=4, results=4)


def test_a_run_that_is_opened_again_meanwhile_stays(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between being found old and being deleted it is looked at once more."""
    fill(run)
    run.set("completed")
    age(database, evaluation_runs, logs)
    find = retention._next_run

    def reopened(connection: Any, **given: Any) -> str | None:
        found = find(connection, **given)
        if found is not None:
            threading.Thread(target=run.set, args=("running",)).start()
            while run.get()["status"] != "running":
                threading.Event().wait(0.01)
        return found

    monkeypatch.setattr(retention, "_next_run", reopened)
    assert prune(database, before()) == Outcome()
    assert run.mean() == 1.0


def test_deleting_looks_nothing_up_without_an_index(database: Database) -> None:
    """Each foreign key to what is deleted has an index: no deletion reads whole tables."""
    deleted = {"logs", "results", "log_feedback", "evaluatees", "evaluation_runs"}

    def work(connection: Any) -> set[str]:
        found = set()
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            leading = {index["column_names"][0] for index in inspector.get_indexes(table)}
            leading |= {each["column_names"][0] for each in inspector.get_unique_constraints(table)}
            leading |= set(inspector.get_pk_constraint(table)["constrained_columns"][:1])
            for key in inspector.get_foreign_keys(table):
                if key["referred_table"] in deleted:
                    (column,) = key["constrained_columns"]
                    if column not in leading:
                        found.add(f"{table}.{column}")
        return found

    assert database.read(work) == set()
