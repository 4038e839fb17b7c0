"""Export, import, export again: the same in meaning, whichever format and whatever was logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from commands import COMMAND, environment, evrun, new_key, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transfers import bring, make_run, meaning, write

from evrun import Evrun, NotFoundError
from evrun.errors import InvalidIdError, InvalidRequestError
from evrun.server.embedded import EmbeddedServer
from evrun.transfer import formats
from evrun.transfer.exporting import Export
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
        {"role": "assistant", "content": [{"type": "text", "text": "=1"}]},
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
    assert [each["data_id"] for each in log.feedback] == [log.id, log.id]


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


def test_an_import_that_ended_early_goes_on(source: Evrun, target: Evrun, tmp_path: Path) -> None:
    """With `ids` nothing is made twice, wherever it ended; afterwards all is as in one go."""
    run = make_run(source, LOGS)
    source.run(run.id).complete()
    first, second, ids = tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "ids.db"
    write(source, run.id, first)
    sent = 0

    def cut(request: httpx.Request, call: Any) -> httpx.Response:
        nonlocal sent
        sent += 1
        if sent % 4 == 0:
            raise KeyboardInterrupt
        answer: httpx.Response = call(request)
        return answer

    interrupted = 0
    with through(tmp_path / "target.db", cut) as mortal:
        while True:
            try:
                imported = bring(mortal, first, ids)
                break
            except KeyboardInterrupt:
                interrupted += 1
    assert interrupted > 3
    write(target, imported.runs[0], second)
    assert meaning(second) == meaning(first)
    assert bring(target, first, ids).counts == {}
    (only,) = target.evaluations.iter_all(project(target))
    assert only.status == "completed"
    with pytest.raises(
        InvalidRequestError, match="ids are kept from the import of another file than"
    ):
        bring(target, second, ids)


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


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda lines: lines[:-1], "not whole"),
        (lambda lines: [*lines[:3], *lines[4:]], "not whole"),
        (lambda lines: lines[1:], r"a\.jsonl does not begin as .* Name a file that it wrote"),
        (lambda lines: [], "not whole"),
        (lambda lines: [{**lines[0], "format": 2}, *lines[1:]], r"newer evrun \(0\.1\.0\)"),
        (lambda lines: [lines[0], {"kind": "odd"}, *lines[1:]], r"a\.jsonl, record 2: 'odd' is no"),
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
        *("export", run.id, "-o", "run.csv", "--local", "evrun-demo.db"), cwd=tmp_path
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
        (("export", "data_x", "--local", "a.db"), 2, "data_x is a log id"),
        (("export", "pr_x", "--format", "parquet", "--local", "a.db"), 2, "name a file with -o"),
        (("export", "pr_x", "-o", "a.xlsx", "--local", "a.db"), 2, ".jsonl, .csv or .parquet"),
        (("export", "pr_x", "-o", "a.csv", "--local", "a.db"), 3, "There is no project pr_x"),
        (("export", "pr_x", "--local", "a.db"), 3, "There is no project pr_x"),
        (
            ("export", "evrun_x", "--format", "csv", "--local", "a.db"),
            3,
            "no evaluation run evrun_x",
        ),
        (("export", "pr_x", "--local", "b.db"), 3, "b.db: there is no such file"),
        (("import", "no.csv", "--local", "a.db"), 2, "'no.csv' does not exist"),
        (("import", "a.db", "--local", "a.db"), 2, "no file that `evrun export` wrote"),
        (("import", "ok.jsonl", "--local", "a.db"), 2, "ok.jsonl does not begin as"),
        (("import", "ok.jsonl", "--ids", "ok.jsonl", "--local", "a.db"), 3, "to keep ids"),
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
    result = evrun("import", "a.jsonl", "--local", "source.db", cwd=tmp_path, check=False)
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
    key = evrun(
        *("keys", "create", "k", "--database", "sqlite:///source.db"), cwd=tmp_path
    ).stdout.strip()
    with serving(tmp_path, "--database", "sqlite:///source.db") as base_url:
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
    arguments = ("export", run.id, "-o", str(path), "--local", str(tmp_path / "source.db"))
    with subprocess.Popen([COMMAND, *arguments], env=environment()) as process:
        while not list(tmp_path.glob(".run.jsonl.*.part")):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert path.read_text() == "yesterday"
    evrun("export", run.id, "-o", path, "--local", "source.db", cwd=tmp_path)
    assert sum(each["kind"] == "log" for each in formats.read(path)) == 40
