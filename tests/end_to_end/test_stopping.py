"""Commands are stopped: by Ctrl-C, before they serve, or by workers that do not stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from uvicorn.config import STARTUP_FAILURE

from _support import SUPPORT
from _support.commands import COMMAND, environment
from _support.transfers import make_run, write
from evrun import Evrun
from evrun.server.hosting.supervisor import restart_delay

if TYPE_CHECKING:
    from pathlib import Path

    from _support.databases import Postgres

WORK = "_support.supervised_work"


def stopped_at(
    module: str,
    folder: Path,
    *arguments: str,
    sig: str = "SIGINT",
    command: tuple[str | Path, ...] = (COMMAND, "serve", "--port", "0"),
    of_workers: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command, which is stopped when it, or a worker, is about to import that."""
    call = f"{WORK}.interrupt({module!r}, of_workers={of_workers}, sig={sig!r})"
    (folder / "sitecustomize.py").write_text(f"import {WORK}\n{call}\n")
    with subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=os.pathsep.join((str(folder), str(SUPPORT.parent)))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize(
    "module", ["evrun", "click", "evrun.server.api.app", "evrun.server.hosting.serve"]
)
def test_ctrl_c_while_it_is_imported_ends_it_quietly(tmp_path: Path, module: str) -> None:
    """With 130, and without a trace."""
    result = stopped_at(module, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_ctrl_c_ends_any_command_with_130(tmp_path: Path) -> None:
    """In the middle of its work, without a trace; an import says how to go on."""
    with Evrun.local(tmp_path / "evrun.db") as client:
        run = make_run(client, [{"output": "x"}])
        write(client, run.id, tmp_path / "a.jsonl")

    def stopped(*arguments: str | Path) -> tuple[int, str, str]:
        done = stopped_at("evrun._calls.structure", tmp_path, command=arguments)
        return done.returncode, done.stdout, done.stderr

    assert stopped(COMMAND, "demo") == (130, "", "")
    assert stopped(sys.executable, "-m", "evrun", "export", run.id) == (130, "", "")
    assert stopped(COMMAND, "export", run.id, "-o", "b.csv") == (130, "", "")
    status, out, err = stopped(COMMAND, "import", "a.jsonl")
    assert (status, out) == (130, "")
    assert err == (
        "Not all was imported. Run the same command again: it continues, and creates nothing "
        "twice. a.jsonl.ids has the new ids.\n"
    )
    assert not list(tmp_path.glob("*.csv*"))


def test_a_server_heeds_what_comes_before_it_listens_to_it(tmp_path: Path) -> None:
    """It ends as soon as it has begun, with status 0."""
    result = stopped_at("uvicorn.loops.auto", tmp_path, sig="SIGTERM")
    assert result.returncode == 0
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("sig", "module"), [("SIGINT", "evrun.server.hosting.serve"), ("SIGTERM", "uvicorn.loops.auto")]
)
def test_workers_that_are_stopped_as_they_start_end_quietly(
    tmp_path: Path, postgres: Postgres, module: str, sig: str
) -> None:
    """While they are imported, and before they listen to signals; with status 0 as later."""
    url = postgres.create()
    options = ("--workers", "2", "--database", url)
    result = stopped_at(module, tmp_path, *options, sig=sig, of_workers=True)
    postgres.drop(url)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr


def supervising(work: str, count: int = 1) -> subprocess.Popen[str]:
    """Supervise a function of that module."""
    supervisor = "evrun.server.hosting.supervisor"
    code = f"import {WORK}; from {supervisor} import supervise; supervise({count}, {work})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(PYTHONPATH=str(SUPPORT.parent)),
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_that_overhears_a_signal_is_told_again() -> None:
    """Such as one that does not listen yet; nobody waits for it for ever."""
    with supervising(f"{WORK}.stubborn") as supervisor:
        assert supervisor.stderr is not None
        assert supervisor.stderr.readline() == "ready\n"
        supervisor.terminate()
        assert supervisor.wait(60) == 0


def test_a_worker_that_dies_at_once_is_replaced_after_a_pause() -> None:
    """A machine is not kept busy with it."""
    with supervising(f"{WORK}.short") as supervisor:
        assert supervisor.stderr is not None
        began: list[float] = []
        while len(began) < 2:
            line = supervisor.stderr.readline()
            if line.startswith("began"):
                began.append(float(line.split()[1]))
        supervisor.terminate()
        assert supervisor.wait(60) == 0
    assert began[1] - began[0] >= restart_delay(1)


def test_pauses_double_up_to_some_seconds() -> None:
    """A worker that has worked for a while is replaced at once."""
    assert [restart_delay(losses) for losses in range(7)] == [0, 0.5, 1, 2, 4, 8, 8]
    assert restart_delay(10_000) == 8


def test_workers_that_never_start_end_all() -> None:
    """Nothing is ever served then; whoever began it is told by the status."""
    with supervising(f"{WORK}.unable", 2) as supervisor:
        assert supervisor.wait(60) == STARTUP_FAILURE
