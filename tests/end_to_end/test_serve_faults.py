"""`evrun serve --faults`: asked for, announced, done, and exactly once all the same."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from _support.commands import COMMAND, environment, evrun_process, new_key, serving
from _support.running_run import prepare
from _support.serve_process import said_at_start
from evrun import Evrun

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULE = """
[[fault]]
kind = "drop"
when = "after"
operation = "Evaluations_log"
nth = 1

[[fault]]
kind = "truncate"
operation = "Evaluations_log"
nth = 2
"""


def test_a_log_is_kept_once_whatever_happens_to_its_answer(tmp_path: Path) -> None:
    """The first answer is dropped, the second one cut; the third try gets it. One log is there."""
    (tmp_path / "faults.toml").write_text(SCHEDULE)
    key = new_key(tmp_path)
    with (
        serving(tmp_path, "--faults", "faults.toml") as base_url,
        Evrun(api_key=key, base_url=base_url) as client,
    ):
        prepared = prepare(client)
        run = client.run(prepared["run_id"])
        run.start()
        logged = run.log(prepared["datapoint_ids"][0], log={"output": "Paris"})
        stored = client.logs.list(prepared["project_id"]).records
        assert [each.id for each in stored] == [logged.id]
        health = httpx.get(base_url.removesuffix("v4") + "healthz").json()
        assert health["faults"] == [
            "drop after the commit: operation=Evaluations_log nth=1",
            "body truncated to half: operation=Evaluations_log nth=2",
        ]


def test_the_server_says_so_at_its_start(tmp_path: Path) -> None:
    """On standard error, before it serves: each fault on a line of its own."""
    (tmp_path / "faults.toml").write_text(SCHEDULE)
    said = said_at_start(tmp_path, "--faults", "faults.toml")
    start = said.index("WARNING: requests fail on purpose, as faults.toml says. For tests only.")
    assert said[start + 1 : start + 3] == [
        "  fault 1: drop after the commit: operation=Evaluations_log nth=1",
        "  fault 2: body truncated to half: operation=Evaluations_log nth=2",
    ]
    assert "on purpose" not in "".join(said_at_start(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[fault]]\nkind = 'drop'\nwhen = 'now'",
            "line 3, fault 1: when='now': expected 'before'",
        ),
        ("", "faults.toml: no fault is planned. Write a [[fault]]."),
        (None, "faults.toml: cannot be read (No such file or directory)."),
    ],
)
def test_a_wrong_schedule_is_wrong_usage(tmp_path: Path, text: str | None, said: str) -> None:
    """It is refused before anything starts, with the line and the key; no traceback."""
    if text is not None:
        (tmp_path / "faults.toml").write_text(text)
    result = evrun_process(
        "serve", "--port", "0", "--faults", "faults.toml", cwd=tmp_path, check=False
    )
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "evrun.db").exists()


def test_a_dropped_log_says_nothing_of_a_defect(tmp_path: Path) -> None:
    """The server's own log names the fault, and no exception."""
    (tmp_path / "faults.toml").write_text("[[fault]]\nkind = 'drop'\n")
    with subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--faults", "faults.toml"],
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "startup complete" in line:
                break
        root = "".join(lines).partition("EVRUN_BASE_URL=")[2].split()[0]
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{root}/projects")
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert "GET /v4/projects meets a fault on purpose: drop before the commit" in said
    assert "Traceback" not in said
    assert "ERROR" not in said
