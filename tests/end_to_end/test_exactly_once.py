from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from _support.acknowledged import all_logs
from _support.commands import environment, new_key
from _support.running_run import prepare
from _support.serve_process import start, wait_for
from evrun import Evrun

if TYPE_CHECKING:
    from pathlib import Path

# The server as it is, but it dies when the answer to a log is about to leave.
DYING = """
import os, signal, sys
import uvicorn
from evrun.server import Database, create_app

app = create_app(Database("sqlite:///evrun.db"))

async def dying(scope, receive, send):
    async def last(message):
        if message["type"] == "http.response.start" and scope["path"].endswith("/log"):
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)
    await app(scope, receive, last)

uvicorn.run(dying, port=int(sys.argv[1]))
"""


def test_a_server_that_dies_between_commit_and_answer(tmp_path: Path, free_tcp_port: int) -> None:
    """Repeated after a restart, the request gets the answer that was never sent; the log is one."""
    key = new_key(tmp_path)
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    server = subprocess.Popen(
        [sys.executable, "-c", DYING, str(free_tcp_port)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with (
            Evrun(api_key=key, base_url=base_url, timeout=20) as client,
            httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=20) as http,
        ):
            wait_for(client)
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()
            path = f"/evaluations/{prepared['run_id']}/log"
            body = {"datapoint_id": prepared["datapoint_ids"][0], "log": {"output": "Paris"}}
            once = {"Idempotency-Key": "once"}
            with pytest.raises(httpx.RemoteProtocolError):
                http.post(path, json=body, headers=once)
            server.wait()
            server = start(tmp_path, free_tcp_port)
            wait_for(client)
            answers = [http.post(path, json=body, headers=once) for _ in range(2)]
            assert [answer.headers["Idempotent-Replayed"] for answer in answers] == ["true", "true"]
            assert all_logs(client, prepared["project_id"]) == {answers[0].json()["id"]: "Paris"}
    finally:
        server.kill()
        server.wait()
