"""`Evrun.local` and `AsyncEvrun.local`: the real server in this process, without a port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import running

from evrun import (
    AsyncEvrun,
    ConfigurationError,
    ConnectError,
    Evrun,
    LogId,
    NotFoundError,
    RequestTimeoutError,
    UnprocessableEntityError,
)

RUN = Path(__file__).with_name("local_run.py")


def test_what_is_logged_stays(tmp_path: Path) -> None:
    """A log survives closing the client: the file holds it."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        logged = client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "Paris"})
    assert path.is_file()
    with Evrun.local(str(path)) as client:
        assert client.logs.get(logged.id).output == "Paris"


def test_what_the_server_says_names_calls_of_the_client(tmp_path: Path) -> None:
    """Whoever calls methods is told of methods, and a local 404 does not talk of keys."""
    with Evrun.local(tmp_path / "evals.db") as client:
        run, datapoint_id = running(client)
        client.run(run.id).complete()
        with pytest.raises(UnprocessableEntityError) as refused:
            client.run(run.id).log(datapoint_id, log={})
        assert str(refused.value).endswith(
            "answered 422: path.evaluation_id: The run is completed, and only a running run takes "
            "logs and results. Set it running first: client.run(…).start()."
        )
        assert refused.value.fields[0].msg.endswith("Evaluations_updateStatus.")
        with pytest.raises(NotFoundError) as missing:
            client.projects.get("pr_nobody")
        assert str(missing.value) == (
            "GET http://evrun.local/v4/projects/pr_nobody answered 404: "
            "There is no project pr_nobody."
        )


def test_sync_and_async_see_the_same_file(tmp_path: Path) -> None:
    """Two clients of one process share a file, and one client outlives several event loops."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        awaited = AsyncEvrun.local(path)

        async def log(output: str) -> LogId:
            body = {"output": output}
            return (await awaited.evaluations.log(run.id, datapoint_id=datapoint_id, log=body)).id

        ids = [asyncio.run(log(output)) for output in ("a", "b", "c")]
        assert [client.logs.get(log_id).output for log_id in ids] == ["a", "b", "c"]
        asyncio.run(awaited.aclose())


def test_many_tasks_at_once_lose_nothing(tmp_path: Path) -> None:
    """Concurrent logs through one async client are all stored, each once."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)

    async def log_all() -> set[LogId]:
        async with AsyncEvrun.local(path) as awaited:
            bound = awaited.run(run.id)
            logged = await asyncio.gather(
                *(bound.log(datapoint_id, log={"output": str(n)}) for n in range(50))
            )
        return {log.id for log in logged}

    ids = asyncio.run(log_all())
    with Evrun.local(path) as client:
        assert len(ids) == 50
        assert client.projects.get(run_project(client)).data_count == 50


def run_project(client: Evrun) -> str:
    (project,) = client.projects.list().records
    return project.id


def test_time_limits_hold(tmp_path: Path) -> None:
    """A limit that is too short ends the call, although there is no socket."""
    with (
        Evrun.local(tmp_path / "evals.db", timeout=1e-6) as client,
        pytest.raises(RequestTimeoutError, match="no answer within 1e-06 s"),
    ):
        client.with_options(max_retries=0).projects.list()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_works(tmp_path: Path) -> None:
    """A child made by fork uses the same client over the same file, and so does its parent."""
    with Evrun.local(tmp_path / "evals.db") as client:
        run, datapoint_id = running(client)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "child"})
                status = 0
            finally:
                os._exit(status)
        client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "parent"})
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.projects.get(run_project(client)).data_count == 2


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    """Two processes log to one file at the same time; nothing is lost and nobody is locked out."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        processes = [
            subprocess.Popen([sys.executable, RUN, path, run.id, datapoint_id, "40"])
            for _ in range(2)
        ]
        assert [process.wait(60) for process in processes] == [0, 0]
        assert client.projects.get(run_project(client)).data_count == 80


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A missing folder, or a file of another kind, is an error that names the path."""
    (tmp_path / "notes.txt").write_text("not a database, and longer than a header " * 9)
    for name, said in (("missing/x.db", "does not exist"), ("notes.txt", "is no SQLite database")):
        with (
            Evrun.local(tmp_path / name) as client,
            pytest.raises(ConnectError, match=said) as caught,
        ):
            client.projects.list()
        assert str(tmp_path / name) in str(caught.value)
        assert "Check the path that Evrun.local was given." in str(caught.value)


def test_closing_is_clean_and_final(tmp_path: Path) -> None:
    """Closing twice is fine; using a closed client is our error."""
    client = Evrun.local(tmp_path / "evals.db")
    client.projects.list()
    client.close()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.projects.list()


def test_a_client_that_is_never_closed_does_not_keep_the_interpreter(tmp_path: Path) -> None:
    """A script that forgets to close ends at once, with nothing on standard error."""
    code = (
        "import sys; from evrun import Evrun; print(Evrun.local(sys.argv[1]).projects.list().total)"
    )
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, tmp_path / "evals.db"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (result.stdout, result.stderr, result.returncode) == ("0\n", "", 0)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded server is an extra; the error names it."""
    monkeypatch.setitem(sys.modules, "evrun.server.embedded", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'evrun\[server\]'"):
        Evrun.local("x.db")
