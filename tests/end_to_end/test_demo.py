"""`evrun demo`: the main job from beginning to end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from _support.commands import evrun_process
from evrun import Evrun, LogId
from evrun.cli.demo.capitals import ROWS, largest_city

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_prints_what_it_did(tmp_path: Path) -> None:
    """The run's id, a row for each datapoint, the aggregate, the place of the data, what next."""
    output = evrun_process("demo", cwd=tmp_path).stdout
    (run_id,) = re.findall(r"Evaluation run (evrun_\w{21}) is completed", output)
    assert "datapoint" in output
    assert len(set(re.findall(r"data_\w{21}", output))) == len(ROWS) == 20
    assert re.search(r"Australia +Sydney +data_\w{21} +wrong", output)
    assert "Exact match: 0.55 over 20 of 20 rows, as the server counts it (11 right)." in output
    assert f"The data is in {tmp_path / 'evrun-demo.db'}" in output
    commands = output.partition("Next:")[2].strip().splitlines()
    assert [command.split()[0] for command in commands] == ["export", "evrun", "curl"]
    assert run_id in commands[2]


def test_the_demo_runs_twice_over_the_same_file(tmp_path: Path) -> None:
    """A second demo adds a run and keeps the first."""
    first, second = (evrun_process("demo", cwd=tmp_path).stdout for _ in range(2))
    ids = [re.search(r"evrun_\w{21}", output) for output in (first, second)]
    assert len({match.group() for match in ids if match}) == 2
    with Evrun.local(tmp_path / "evrun-demo.db") as client:
        (project,) = client.projects.list().records
        assert client.evaluations.list(project.id).total == 2
        assert project.data_count == 40


def test_the_demo_leaves_its_data_behind(tmp_path: Path) -> None:
    """What the demo logged can be read by anybody who opens the file."""
    output = evrun_process("demo", "--database", "kept.db", cwd=tmp_path).stdout
    log_id = LogId(re.findall(r"data_\w{21}", output)[0])
    with Evrun.local(tmp_path / "kept.db") as client:
        log = client.logs.get(log_id)
        assert log.output == "Buenos Aires"
        assert log.inputs == {"country": "Argentina"}
        (result,) = log.evaluation_results
        assert result.value is True


def test_the_function_under_test_is_deterministic() -> None:
    """The demo's function gets 11 of 20 right, every time."""
    assert sum(largest_city(row.country) == row.capital for row in ROWS) == 11
    assert len({row.country for row in ROWS}) == 20
