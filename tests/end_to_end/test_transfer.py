"""Export, import, export again: the same in meaning, whichever format and whatever was logged."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _support.commands import COMMAND, environment, evrun, new_key, serving
from _support.transfers import bring, make_run, meaning, write
from evrun import Evrun, NotFoundError
from evrun.errors import InvalidIdError, InvalidRequestError
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.transfer import formats
from evrun.transfer.exporting import Export
from evrun.transfer.importing import Import
from evrun.transfer.ledger import Ledger
from evrun.transfer.records import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

FORMATS = list(formats.WRITERS)
FULL: dict[str, Any] = {
    "inputs": {"n": 1, "deep": {"null": None, "list": [1.5, "é", []]}, "": ""},
    "messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "=1", "further": [None]}]},
        {"role": "model", "parts": [{"text": "x"}], "thought": None},
    ],
    "output": "=cmd|'/c calc'!A1",
    "output_message": {"role": "assistant", "content": "Paris\r\nor so"},
    "judgment": ["good", "@bad"],
    "error": "'quoted",
    "stdout": "",
    "provider_request": {"big": 2**80, "tiny": 5e-324},
    "provider_response": {},
    "metadata": {"commit": None, "flag": False},
    "source": "-ci",
    "environment": "staging",
    "duration": 1,
    "prompt_tokens": 0,
    "output_tokens": 2**62,
    "prompt_cost": 0.1,
    "output_cost": 1e-12,
    "reference_id": "ours\n1",
    "created_at": datetime(2024, 1, 2, 3, 4, 5, 678901, UTC),
    "save": True,
    "session_reference_id": "+session",
    "feedback": [
        {"type": "rating", "value": "good", "user": "me", "created_at": "2024-01-02T03:04:05Z"},
        {"type": "tags", "value": ["a", "b"], "created_at": "2024-01-03T03:04:05+02:00"},
        {"type": "note", "value": "x", "rater": {"id": 1, "name": None}},
    ],
}
LOGS: tuple[dict[str, Any], ...] = (
    FULL,
    {},
    {"output": "", "inputs": {}, "metadata": {}},
    {"output": "secret", "save": False, "session_reference_id": "+session"},
    {"judgment": False, "duration": 0.0},
)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Evrun]:
    with Evrun.local(tmp_path / "source.db") as client:
        yield client


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Evrun]:
    with Evrun.local(tmp_path / "target.db") as client:
        yield client


@contextmanager
def through(path: Path, middleware: Any) -> Iterator[Evrun]:
    """Yield a client of the embedded server whose requests pass a middleware."""
    server = EmbeddedServer(path)
    with Evrun(
        api_key=server.key,
        base_url=server.base_url,
        transport=server.transport(),
        middleware=[middleware],
    ) as client:
        yield client
    server.close()


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_comes_over_in_meaning(
    name: str, source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """Into an empty server and out again: the same records but for ids."""
    run = make_run(source, LOGS)
    first, second = tmp_path / f"first.{name}", tmp_path / f"second.{name}"
    write(source, run.id, first)
    imported = bring(target, first)
    (new,) = imported.runs
    assert imported.left_out == {}
    write(target, new, second)
    assert meaning(second) == meaning(first)
    (log,) = (each for each in target.logs.iter_all(project(target)) if each.source == "-ci")
    assert (log.output, log.created_at) == (FULL["output"], FULL["created_at"])
    assert log.feedback is not None
    assert [each["data_id"] for each in log.feedback] == [log.id] * 3


def project(client: Evrun) -> str:
    (only,) = client.projects.iter_all()
    return only.id


@pytest.mark.parametrize("name", FORMATS)
def test_a_project_comes_over_in_meaning(
    name: str, source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """All its runs with their status, each over the rows that it had, and what no run uses."""
    one, two, cancelled, pending = (make_run(source, LOGS[:count]) for count in (2, 1, 1, 0))
    source.datasets.create_datapoints(one.dataset.id, datapoints=[{"target": {"later": [1, "a"]}}])
    later = source.evaluations.create(
        project_id=project(source),
        config_id=str(one.config["id"]),
        dataset_id=one.dataset.id,
        evaluator_ids=[],
    )
    source.datasets.create_datapoints(one.dataset.id, datapoints=[{"inputs": {"of": "no run"}}])
    source.datasets.create(project(source), name="empty", description="of rows")
    source.run(one.id).complete()
    source.run(cancelled.id).cancel()
    first, second = tmp_path / f"first.{name}", tmp_path / f"second.{name}"
    write(source, project(source), first)
    bring(target, first)
    write(target, project(target), second)
    assert meaning(second) == meaning(first)
    runs = sorted(target.evaluations.iter_all(project(target)), key=lambda run: run.created_at)
    statuses = ["completed", "running", "cancelled", "running", later.status]
    assert [run.status for run in runs] == statuses
    rows = [run.dataset_snapshot.datapoint_count for run in runs if run.dataset_snapshot]
    assert rows == [2, 1, 1, 0, 3]
    assert (two.status, pending.status) == ("running", "running")


def test_which_format_it_was_makes_no_difference(source: Evrun, tmp_path: Path) -> None:
    """The three files of one run hold the same records."""
    run = make_run(source, LOGS)
    paths = [tmp_path / f"run.{name}" for name in FORMATS]
    for path in paths:
        write(source, run.id, path)
    first, *others = ([line for line in meaning(path) if "version" not in line] for path in paths)
    assert others == [first, first]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBER = st.floats(min_value=-1e300, max_value=1e300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("output", "error", "stdout", "environment"), TEXT),
    **dict.fromkeys(("source", "reference_id", "session_reference_id"), WORD),
    **dict.fromkeys(
        ("inputs", "metadata", "provider_request", "provider_response"),
        st.dictionaries(TEXT, JSON, max_size=3),
    ),
    **dict.fromkeys(("duration", "prompt_cost", "output_cost"), NUMBER),
    **dict.fromkeys(("prompt_tokens", "output_tokens"), st.integers(-(2**63), 2**63 - 1)),
    "created_at": st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001 - `timezones` adds one
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    "judgment": st.booleans() | NUMBER | TEXT | st.lists(TEXT, max_size=2),
    "save": st.booleans(),
}
LOG = st.sets(st.sampled_from(sorted(FIELDS)), max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: st.none() | FIELDS[name] for name in names})
)


@pytest.mark.timeout(300)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(logs=st.lists(LOG, min_size=1, max_size=3), name=st.sampled_from(FORMATS))
def test_anything_that_can_be_logged_comes_over(
    logs: list[dict[str, Any]], name: str, source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """Odd text, nested JSON, null and nothing, floats, big integers, instants, in every format."""
    run = make_run(source, logs)
    first, second = tmp_path / f"first.{name}", tmp_path / f"second.{name}"
    write(source, run.id, first)
    imported = bring(target, first)
    assert (imported.notes, imported.left_out) == ([], {})
    write(target, imported.runs[0], second)
    assert meaning(second) == meaning(first)


def test_parents_and_sessions_point_to_what_became_of_them(
    source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """A parent may stand behind its child; sessions keep their references and their logs."""
    run = make_run(source, [{}, {}, {}])
    rows = [row.datapoint.id for row in source.evaluations.iter_datapoints(run.id)]
    session = source.sessions.create().id
    top = source.evaluations.log(
        run.id, datapoint_id=rows[2], log={"output": "top", "session_id": session}
    )
    middle = source.evaluations.log(
        run.id, datapoint_id=rows[1], log={"output": "middle", "parent_id": top.id}
    )
    outside = source.evaluations.log(run.id, datapoint_id=rows[0], log={"reference_id": "outside"})
    source.evaluations.log(
        run.id,
        datapoint_id=rows[0],
        log={"output": "bottom", "parent_id": middle.id, "session_id": session},
    )
    write(source, run.id, tmp_path / "a.jsonl")
    imported = bring(target, tmp_path / "a.jsonl")
    assert imported.left_out == {}
    by_output = {log.output: log for log in target.logs.iter_all(project(target))}
    assert by_output["bottom"].parent_id == by_output["middle"].id
    assert by_output["middle"].parent_id == by_output["top"].id
    assert by_output["top"].session_id == by_output["bottom"].session_id is not None
    assert len(by_output) == 3
    # A parent that no run shows any more is not in the file.
    source.evaluations.log(
        run.id, datapoint_id=rows[1], log={"output": "orphan", "parent_id": outside.id}
    )
    write(source, run.id, tmp_path / "b.jsonl")
    left = bring(target, tmp_path / "b.jsonl").left_out
    assert sum(left.values()) == 2  # the orphan's, and that of `bottom`, whose parent it replaced
    assert all("parents that are not in the file" in reason for reason in left)


def test_superseded_logs_are_counted(source: Evrun, tmp_path: Path) -> None:
    """An export of a project says how many logs no run shows any more."""
    run = make_run(source, [{"output": "first"}])
    (row,) = source.evaluations.iter_datapoints(run.id)
    source.evaluations.log(run.id, datapoint_id=row.datapoint.id, log={"output": "second"})
    export = write(source, project(source), tmp_path / "a.jsonl")
    assert (export.superseded, export.counts["log"]) == (1, 1)


def rows(database: Path) -> dict[str, int]:
    """Return how many rows each table has, but for those that only tell of requests."""
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
        return {
            table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608
            for (table,) in tables
            if table not in {"idempotency_keys", "api_keys"} and not table.startswith("logs_")
        }


@pytest.fixture
def exported(source: Evrun, tmp_path: Path) -> Path:
    """Return a file with each kind of record: sessions of both sorts, feedback, a parent, a run."""
    run = make_run(source, LOGS)
    first, *_ = (row.datapoint.id for row in source.evaluations.iter_datapoints(run.id))
    session = source.sessions.create().id
    parent = source.evaluations.log(
        run.id, datapoint_id=first, log=dict[str, Any](FULL, output="parent")
    )
    (_, second, *_) = (row.datapoint.id for row in source.evaluations.iter_datapoints(run.id))
    source.evaluations.log(
        run.id, datapoint_id=second, log={"parent_id": parent.id, "session_id": session}
    )
    source.run(run.id).complete()
    path = tmp_path / "exported.jsonl"
    write(source, run.id, path)
    return path


@pytest.fixture
def expected(exported: Path, tmp_path: Path) -> dict[str, int]:
    """Return the rows that an import in one go makes."""
    with Evrun.local(tmp_path / "control.db") as client:
        bring(client, exported)
    return rows(tmp_path / "control.db")


class Killer:
    """Ends an import once at each moment that it has not ended one at yet."""

    def __init__(self) -> None:
        self.past: set[object] = set()

    def strike(self, moment: object) -> None:
        if moment not in self.past:
            self.past.add(moment)
            raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["request", "id"])
def test_nothing_is_made_twice_wherever_an_import_ended(
    what: str, when: str, exported: Path, expected: dict[str, int], tmp_path: Path
) -> None:
    """Killed once around each request, or around each id that is kept, it goes on every time."""
    killer = Killer()

    def cut(request: httpx.Request, call: Any) -> httpx.Response:
        packed = request.headers.get("content-encoding") == "gzip"
        content = gzip.decompress(request.content) if packed else request.content
        moment = request.method, str(request.url), content
        if (what, when) == ("request", "before"):
            killer.strike(moment)
        answer: httpx.Response = call(request)
        if (what, when) == ("request", "after"):
            killer.strike(moment)
        return answer

    class Mortal(Ledger):
        def put(self, kind: str, old: str, new: str) -> bool:
            if (what, when) == ("id", "before"):
                killer.strike((kind, old))
            done = super().put(kind, old, new)
            if (what, when) == ("id", "after"):
                killer.strike((kind, old))
            return done

    ids, second = tmp_path / "ids.db", tmp_path / "second.jsonl"
    with through(tmp_path / "target.db", cut) as mortal:
        while True:
            try:
                with Mortal(ids) as ledger:
                    imported = Import(mortal, lambda: formats.read(exported), ledger)
                    imported.run()
                break
            except KeyboardInterrupt:
                pass
    assert len(killer.past) > 20
    assert rows(tmp_path / "target.db") == expected
    with Evrun.local(tmp_path / "target.db") as client:
        again = bring(client, exported, ids)
        assert (again.counts, again.runs) == ({}, imported.runs)
        write(client, imported.runs[0], second)
    assert meaning(second) == meaning(exported)


def test_an_import_that_is_done_may_be_made_again(
    exported: Path, target: Evrun, expected: dict[str, int], tmp_path: Path
) -> None:
    """Another ledger means another import: what is the same is used, and all else is new."""
    assert bring(target, exported).runs != bring(target, exported).runs
    twice = rows(tmp_path / "target.db")
    for table in ("evaluation_runs", "logs", "datapoints"):
        assert twice[table] == 2 * expected[table]
    assert twice["projects"] == expected["projects"] == 1


def test_what_was_left_out_is_told_by_the_import_that_goes_on(
    exported: Path, target: Evrun, tmp_path: Path
) -> None:
    """And not only by the one that ended early: a script goes by the last status."""
    text = exported.read_text().replace('"value": true', '"value": "words"', 1)
    exported.write_text(text.replace('"parent_id": "data_', '"parent_id": "data_elsewhere', 1))
    first, second = (bring(target, exported, tmp_path / "ids.db") for _ in range(2))
    assert dict(first.left_out) == dict(second.left_out)
    parents = "parents that are not in the file: their logs have none now"
    assert first.left_out == {"results": 1, parents: 1}
    assert second.counts == {}


def test_a_ledger_is_of_one_file_and_one_target(
    exported: Path, source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """Whatever it is named for besides is refused, before anything is sent."""
    ids, other = tmp_path / "ids.db", tmp_path / "other.jsonl"
    bring(target, exported, ids, target="here")
    write(source, project(source), other)
    with pytest.raises(
        InvalidRequestError, match=r"of another file than .*other\.jsonl. Delete it"
    ):
        bring(target, other, ids, target="here")
    with pytest.raises(
        InvalidRequestError, match=r"import into here, .* goes to there\. Delete it"
    ):
        bring(target, exported, ids, target="there")
    assert len(list(target.projects.iter_all())) == 1


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_killed_import_goes_on_by_the_same_command(
    exported: Path, expected: dict[str, int], tmp_path: Path
) -> None:
    """SIGKILL at several points: FILE.ids is there after each, and goes in the end."""
    ids = exported.with_name("exported.jsonl.ids")
    arguments = ("import", str(exported), "--database", "target.db")

    def kept() -> int:
        try:
            with closing(sqlite3.connect(f"file:{ids}?mode=ro", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM ids").fetchone()[0])
        except sqlite3.Error:
            return 0

    points = 0
    while True:
        before = kept()
        with subprocess.Popen(
            [COMMAND, *arguments], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE
        ) as process:
            while process.poll() is None and kept() < max(before, 10) + 4:
                time.sleep(0.0005)
            process.kill()
            assert process.stderr is not None
            told = process.stderr.read().decode()
        assert (before > 0) == ("Continuing an earlier import" in told)
        if process.returncode == 0:
            break
        points += 1
        assert ids.exists()
    assert points > 1
    assert not ids.exists()
    assert rows(tmp_path / "target.db") == expected


def test_what_is_there_already_is_used(source: Evrun, tmp_path: Path) -> None:
    """Into the server it came from: the same project, config and evaluators, a new run."""
    run = make_run(source, LOGS[:1])
    write(source, run.id, tmp_path / "a.jsonl")
    (new,) = bring(source, tmp_path / "a.jsonl").runs
    again = source.evaluations.get(new)
    assert again.id != run.id
    assert again.config["id"] == run.config["id"]
    assert {each.id for each in again.evaluators} == {each.id for each in run.evaluators}
    assert again.dataset.id != run.dataset.id
    bring(source, tmp_path / "a.jsonl", project="elsewhere")
    assert {each.name for each in source.projects.iter_all()} == {"capitals", "elsewhere"}


def test_verdicts_that_no_request_carries_are_told(
    source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """Of the vendor's evaluators: those that ran there become external, verdicts in words stay."""
    run = make_run(source, [{"output": "x"}])
    path = tmp_path / "vendor.jsonl"
    write(source, run.id, path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    verdict = next(each for each in lines if each["kind"] == "result")
    verdict["value"] = "in words"
    judge = next(each for each in lines if each["kind"] == "evaluator")
    judge.update(type="llm", name="judge")
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    imported = bring(target, path)
    assert imported.left_out == {"results": 1}
    assert any("'judge' was of type llm and is external now" in note for note in imported.notes)
    assert any(verdict["id"] in note and "boolean or a number" in note for note in imported.notes)
    assert imported.counts["result"] == 1


def test_an_evaluator_that_no_result_fits_stays_behind(
    source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """One of verdicts in words, and they: told, and the run comes over with its other evaluator."""
    run = make_run(source, [{"output": "x"}])
    path = tmp_path / "older.jsonl"
    write(source, run.id, path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    judge = next(each for each in lines if each["kind"] == "evaluator")
    judge["return_type"] = "text"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    imported = bring(target, path)
    assert imported.left_out == {"evaluators": 1, "results": 1}
    assert imported.counts["evaluator"] == 1
    (kept,) = target.evaluations.get(imported.runs[0]).evaluators
    assert kept.return_type == "number"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda lines: lines[:-1], "is incomplete"),
        (lambda lines: [*lines[:3], *lines[4:]], "is incomplete"),
        (lambda lines: lines[1:], r"a\.jsonl does not begin as .* Name a file that it wrote"),
        (lambda lines: [], "is incomplete"),
        (lambda lines: [{**lines[0], "format": 2}, *lines[1:]], r"newer evrun \(0\.1\.0\)"),
        (
            lambda lines: [lines[0], {"kind": "odd"}, *lines[1:]],
            r"a\.jsonl, record 2: this evrun does not know the kind 'odd'",
        ),
        (lambda lines: [lines[0], {"kind": "log", "id": "x"}, *lines[1:]], "the log has no run_id"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    edit: Any, sentence: str, source: Evrun, target: Evrun, tmp_path: Path
) -> None:
    """Before anything is sent."""
    path = tmp_path / "a.jsonl"
    write(source, make_run(source, LOGS[:1]).id, path)
    lines = edit([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    with pytest.raises(InvalidRequestError, match=sentence):
        bring(target, path)
    assert list(target.projects.iter_all()) == []


def test_an_export_reads_no_further_than_it_is_written(source: Evrun, tmp_path: Path) -> None:
    """Pages are asked for as records are taken: memory holds one of them."""
    run = make_run(source, [{"output": str(n)} for n in range(120)])
    pages: list[bool] = []

    def watch(request: httpx.Request, call: Any) -> httpx.Response:
        if request.url.path.endswith("/datapoints"):
            pages.append("cursor" in request.url.params)
        answer: httpx.Response = call(request)
        return answer

    logs = 0
    with through(tmp_path / "source.db", watch) as client:
        for record in Export(client, run.id).records():
            logs += record["kind"] == "log"
            assert len(pages) <= logs // 100 + 1
    assert (logs, pages) == (120, [False, True])


def test_every_field_that_can_be_sent_is_exported(source: Evrun, tmp_path: Path) -> None:
    """The fullest log has all of them, so that none is forgotten when the contract grows one."""
    path = tmp_path / "a.jsonl"
    write(source, make_run(source, [FULL]).id, path)
    (log,) = (each for each in formats.read(path) if each["kind"] == "log")
    known = set(FULL) - {"session_reference_id"} | {"session_id"}
    assert set(LOG_FIELDS) - {"parent_id", "parent_reference_id"} == known
    assert known <= set(log)


def test_what_is_no_run_and_no_project_is_refused(source: Evrun) -> None:
    """By its prefix, before anything is sent."""
    with pytest.raises(InvalidRequestError, match=r"data_x is a log id; name a run"):
        Export(source, "data_x")
    with pytest.raises(InvalidIdError):
        Export(source, "capitals")
    with pytest.raises(NotFoundError):
        list(Export(source, "pr_0").records())


def test_the_commands_over_a_port(tmp_path: Path) -> None:
    """A run of the demo goes to a file and comes to a server that listens, as its own run."""
    evrun("demo", cwd=tmp_path)
    with Evrun.local(tmp_path / "evrun-demo.db") as client:
        (run,) = client.evaluations.iter_all(project(client))
    told = evrun(
        *("export", run.id, "-o", "run.csv", "--database", "evrun-demo.db"), cwd=tmp_path
    ).stderr
    assert told.startswith(f"Exported {run.id} as csv: 1 config, 20 datapoints, 1 dataset, ")
    key = new_key(tmp_path)
    with serving(tmp_path) as base_url:

        def asked(*arguments: str) -> str:
            settings = {"EVRUN_API_KEY": key, "EVRUN_BASE_URL": base_url}
            return evrun(*arguments, cwd=tmp_path, check=True, **settings).stdout

        new = asked("import", "run.csv").strip()
        again = asked("export", new, "--format", "jsonl")
        (tmp_path / "again.jsonl").write_text(again)
    assert meaning(tmp_path / "again.jsonl")[1:] == meaning(tmp_path / "run.csv")[1:]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("export", "data_x", "--database", "a.db"), 2, "data_x is a log id"),
        (("export", "pr_x", "--format", "parquet", "--database", "a.db"), 2, "name a file with -o"),
        (("export", "pr_x", "-o", "a.xlsx", "--database", "a.db"), 2, ".jsonl, .csv or .parquet"),
        (("export", "pr_x", "-o", "a.csv", "--database", "a.db"), 3, "There is no project pr_x"),
        (("export", "pr_x", "--database", "a.db"), 3, "There is no project pr_x"),
        (
            ("export", "evrun_x", "--format", "csv", "--database", "a.db"),
            3,
            "no evaluation run evrun_x",
        ),
        (("export", "pr_x", "--database", "b.db"), 3, "b.db: this database does not exist"),
        (("import", "no.csv", "--database", "a.db"), 2, "'no.csv' does not exist"),
        (("import", "a.db", "--database", "a.db"), 2, "not a file that `evrun export` wrote"),
        (("import", "ok.jsonl", "--database", "a.db"), 2, "ok.jsonl does not begin as"),
        (("import", "ok.jsonl", "--ids", "ok.jsonl", "--database", "a.db"), 3, "to keep ids"),
    ],
)
def test_what_fails_ends_with_one_line_and_a_status(
    arguments: tuple[str, ...], status: int, sentence: str, tmp_path: Path
) -> None:
    """2 for wrong usage, 3 for what the world refuses; no file is left, and nothing printed."""
    with Evrun.local(tmp_path / "a.db") as client:
        client.projects.list()
    (tmp_path / "ok.jsonl").write_text("{}")
    result = evrun(*arguments, cwd=tmp_path, check=False)
    assert sentence in result.stderr
    assert (result.returncode, result.stdout) == (status, "")
    assert not any(each.suffix in {".csv", ".part"} for each in tmp_path.iterdir())


def test_left_out_is_status_1(source: Evrun, tmp_path: Path) -> None:
    """What could not be carried over is told, the rest is there."""
    path = tmp_path / "a.jsonl"
    write(source, make_run(source, [{"output": "x"}]).id, path)
    path.write_text(path.read_text().replace('"value": true', '"value": "words"'))
    result = evrun("import", "a.jsonl", "--database", "source.db", cwd=tmp_path, check=False)
    assert (result.returncode, len(result.stdout.split())) == (1, 1)
    assert "Left out: 1 results." in result.stderr


# Runs `evrun` with files of a limited size, as on a disk that fills up.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from evrun.cli import main
main()
"""


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_no_half_file(name: str, source: Evrun, tmp_path: Path) -> None:
    """Status 3, a sentence, and the file of yesterday."""
    outputs = [{"output": str(n) + os.urandom(400).hex()} for n in range(60)]
    run = make_run(source, outputs)
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / f"run.{name}"
    path.write_text("yesterday")
    key = evrun(*("keys", "create", "k", "--database", "source.db"), cwd=tmp_path).stdout.strip()
    with serving(tmp_path, "--database", "source.db") as base_url:
        result = subprocess.run(
            [sys.executable, "-c", LIMITED, "export", run.id, "-o", path],
            env=environment(EVRUN_API_KEY=key, EVRUN_BASE_URL=base_url),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stdout) == (3, "")
    assert f"{path} cannot be written: File too large" in result.stderr
    assert [each.read_text() for each in path.parent.iterdir()] == ["yesterday"]


def test_a_killed_export_leaves_no_half_file(source: Evrun, tmp_path: Path) -> None:
    """What lay there before stays; a hidden part may lie beside it."""
    run = make_run(source, [{"output": str(n)} for n in range(40)])
    path = tmp_path / "run.jsonl"
    path.write_text("yesterday")
    arguments = ("export", run.id, "-o", str(path), "--database", str(tmp_path / "source.db"))
    with subprocess.Popen([COMMAND, *arguments], env=environment()) as process:
        while not list(tmp_path.glob(".run.jsonl.*.part")):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert path.read_text() == "yesterday"
    evrun("export", run.id, "-o", path, "--database", "source.db", cwd=tmp_path)
    assert sum(each["kind"] == "log" for each in formats.read(path)) == 40
