"""`evrun serve`, over HTTP: the API page's answers, and the documented error for each mistake."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from attrs import frozen
from click.testing import CliRunner

from _support.commands import evrun, evrun_process, new_key, serving
from _support.running_run import prepare
from _support.serve_process import said_at_start
from evrun import AsyncEvrun, AuthenticationError, Evrun, UnprocessableEntityError
from evrun.cli.app import app
from evrun.cli.serve import _listen
from evrun.server.db.backends.sqlite import Sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@frozen
class Served:
    """A server with a run that is running."""

    base_url: str
    key: str
    run_id: str
    datapoint_ids: tuple[str, ...]
    evaluator_id: str
    evaluatee_id: str
    project_id: str

    def post(self, path: str, json: Any, **options: Any) -> httpx.Response:
        """Post as `curl` does: no client of ours."""
        headers = options.pop("headers", {"X-API-KEY": self.key})
        return httpx.post(f"{self.base_url}{path}", json=json, headers=headers, **options)

    def log(self, json: Any, **options: Any) -> httpx.Response:
        """Post to the main endpoint."""
        return self.post(f"/evaluations/{self.run_id}/log", json, **options)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    key = new_key(folder)
    with serving(folder) as base_url, Evrun(api_key=key, base_url=base_url) as client:
        prepared = prepare(client)
        client.run(prepared["run_id"]).start()
        yield Served(base_url=base_url, key=key, **prepared)


def test_a_correct_log_is_201_with_three_ids(served: Served) -> None:
    """The API page's request gets the API page's answer."""
    response = served.log({"datapoint_id": served.datapoint_ids[0], "log": {"output": "Paris"}})
    assert response.status_code == 201
    assert set(response.json()) == {"id", "project_id", "session_id"}
    assert response.json()["id"].startswith("data_")
    assert response.json()["project_id"] == served.project_id
    assert response.json()["session_id"] is None


def test_a_log_with_a_session_names_it(served: Served) -> None:
    """`session_id` is answered when the log named a session, by reference or by id."""
    datapoint_id = served.datapoint_ids[0]
    body = {"datapoint_id": datapoint_id, "log": {"session_reference_id": "chat-7"}}
    session_id = served.log(body).json()["session_id"]
    assert session_id.startswith("sesh_")
    assert served.log(body).json()["session_id"] == session_id
    again = served.log({"datapoint_id": datapoint_id, "log": {"session_id": session_id}})
    assert again.json()["session_id"] == session_id


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"log": {}}, ["body", "datapoint_id"]),
        ({"datapoint_id": "{row}"}, ["body", "log"]),
        ({"datapoint_id": "{row}", "log": "Paris"}, ["body", "log"]),
        ({"datapoint_id": "", "log": {}}, ["body", "datapoint_id"]),
        ({"datapoint_id": "row-of-another-dataset", "log": {}}, ["body", "datapoint_id"]),
        ({"datapoint_id": "{row}", "log": {"output": 7}}, ["body", "log", "output"]),
        ({"datapoint_id": "{row}", "log": {"session_id": "x"}}, ["body", "log", "session_id"]),
        (
            {"datapoint_id": "{row}", "log": {"session_id": "sesh_1", "session_reference_id": "r"}},
            ["body", "log", "session_reference_id"],
        ),
        (
            {"datapoint_id": "{row}", "log": {"project_id": "pr_other"}},
            ["body", "log", "project_id"],
        ),
        ({"datapoint_id": "{row}", "log": {"config_id": "config_x"}}, ["body", "log", "config_id"]),
        ([], ["body"]),
    ],
    ids=str,
)
def test_a_wrong_log_is_422_in_the_documented_shape(served: Served, body: Any, loc: Any) -> None:
    """Each mistake in the body is named at its place."""
    if isinstance(body, dict) and body.get("datapoint_id") == "{row}":
        body = {**body, "datapoint_id": served.datapoint_ids[0]}
    response = served.log(body)
    assert response.status_code == 422, response.text
    for entry in response.json()["detail"]:
        assert set(entry) == {"loc", "msg", "type"}
    assert loc in [entry["loc"][: len(loc)] for entry in response.json()["detail"]]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/evaluations/evrun_nobody/log", "", 404),
        ("/evaluations/data_1/log", "", 422),
        ("/evaluations/{run}/log", "?evaluatee_id=evv_nobody", 404),
        ("/evaluations/{run}/log", "?evaluatee_id=nonsense", 422),
        ("/nonsense", "", 404),
    ],
)
def test_a_wrong_address_is_the_documented_error(
    served: Served, path: str, query: str, status: int
) -> None:
    """Unknown objects are 404, malformed ids 422, each in its documented shape."""
    body = {"datapoint_id": served.datapoint_ids[0], "log": {}}
    response = served.post(path.format(run=served.run_id) + query, body)
    assert response.status_code == status, response.text
    detail = response.json()["detail"]
    assert isinstance(detail, list if status == 422 else str)


@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": "evk_wrong"}, {"Authorization": "Bearer x"}])
def test_without_a_known_key_it_is_401(served: Served, headers: dict[str, str]) -> None:
    """A key is required, and the error says how to send one."""
    response = served.log({}, headers=headers)
    assert response.status_code == 401
    assert "X-API-KEY" in response.json()["detail"]


def test_a_body_that_is_no_json_is_422(served: Served) -> None:
    """A truncated body is the client's mistake, in the documented shape."""
    response = httpx.post(
        f"{served.base_url}/evaluations/{served.run_id}/log",
        content=b'{"datapoint_id": ',
        headers={"X-API-KEY": served.key, "Content-Type": "application/json"},
    )
    assert response.status_code == 422
    assert set(response.json()["detail"][0]) == {"loc", "msg", "type"}


def test_a_run_must_be_running(served: Served) -> None:
    """A pending run takes no logs: 422, and the error says so."""
    with Evrun(api_key=served.key, base_url=served.base_url) as client:
        run = client.evaluations.get(served.run_id)
        other = client.evaluations.create(
            project_id=served.project_id,
            config_id=run.config["id"],
            dataset_id=run.dataset.id,
            evaluator_ids=[served.evaluator_id],
        )
        with pytest.raises(UnprocessableEntityError, match="running"):
            client.evaluations.log(other.id, datapoint_id=served.datapoint_ids[0], log={})


def test_the_clients_over_a_socket(served: Served) -> None:
    """The sync client logs, judges and reads back over HTTP."""
    with Evrun(api_key=served.key, base_url=served.base_url) as client:
        run = client.run(served.run_id)
        logged = run.log(served.datapoint_ids[1], log={"output": "x", "inputs": {"q": "2"}})
        verdict = run.result(logged.id, evaluator_id=served.evaluator_id, result=True)
        assert verdict.value is True
        records = run.datapoints().records
        (row,) = (r for r in records if r.datapoint.id == served.datapoint_ids[1])
        assert row.log is not None
        assert row.log.id == logged.id
        assert row.log.output == "x"
        assert [result.value for result in row.evaluation_results] == [True]


@pytest.mark.anyio
async def test_the_async_client_over_a_socket(served: Served) -> None:
    """The async client does the same, awaited."""
    async with AsyncEvrun(api_key=served.key, base_url=served.base_url) as client:
        run = client.run(served.run_id)
        logged = await run.log(served.datapoint_ids[1], log={"output": "y"})
        verdict = await run.result(logged.id, evaluator_id=served.evaluator_id, error="no idea")
        assert verdict.value is None
        assert verdict.error == "no idea"
        assert (await client.logs.get(logged.id)).output == "y"


def test_a_revoked_key_ends_at_once(tmp_path: Path) -> None:
    """Revoking a key takes effect on a running server."""
    key = new_key(tmp_path, "leaked")
    with serving(tmp_path) as base_url, Evrun(api_key=key, base_url=base_url) as client:
        assert client.projects.list().total == 0
        evrun("keys", "revoke", "leaked", cwd=tmp_path)
        with pytest.raises(AuthenticationError):
            client.projects.list()


def test_a_server_says_where_it_is_and_what_it_lacks(tmp_path: Path) -> None:
    """At its start the server names its address, and the command that makes a key."""
    said = said_at_start(tmp_path)
    assert said[0] == "evrun serves evrun.db. Clients find it with"
    assert said[1].startswith("  export EVRUN_BASE_URL=http://127.0.0.1:")
    assert said[2] == (
        "It has no key yet; make one with `evrun keys create NAME --database evrun.db`."
    )
    new_key(tmp_path)
    assert "no key yet" not in "".join(said_at_start(tmp_path))


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    """A taken port is named, with the way out; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = evrun_process("serve", "--port", port, cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert result.stderr == (
        f"evrun: Cannot listen on 127.0.0.1, port {port}: Address already in use. "
        "Choose another with --port; --port 0 takes a free one.\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "ä..b", "fe80::1%nowhere"])
def test_a_host_that_is_none_is_one_line(tmp_path: Path, host: str) -> None:
    """An address of another machine, no name at all, or one of no network: not the port's fault."""
    result = evrun_process("serve", "--host", host, "--port", "0", cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert result.stderr.startswith(f"evrun: Cannot listen on {host}: ")
    assert "Give --host an address of this machine" in result.stderr
    assert "--port" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_answer_waits_for_an_acknowledgement() -> None:
    """Connections have Nagle's algorithm off: it would cost 44 ms a request."""
    with (
        _listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_database_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server goes on with the database in which the command looked for keys."""
    opened: list[Sqlite] = []
    really = Sqlite.open

    def open_(self: Sqlite) -> None:
        opened.append(self)
        really(self)

    async def stop_at_once(_: uvicorn.Server) -> None:
        """Serve nothing."""

    monkeypatch.setattr(Sqlite, "open", open_)
    monkeypatch.setattr(uvicorn.Server, "main_loop", stop_at_once)
    monkeypatch.setattr("evrun.server.hosting.serve.LOGGING_CONFIG", None)
    monkeypatch.setattr("evrun.cli.serve.exit_on_interrupt", lambda: None)
    database = ("--database", str(tmp_path / "a.db"))
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--access-log", "off", *database])
    assert (result.exit_code, len(opened)) == (0, 1), result.output
