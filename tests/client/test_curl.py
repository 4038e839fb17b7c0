"""`error.as_curl()`, run by a real shell and a real curl against a real server."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from _support.fake_api import KEY
from _support.loopback_server import Answer, Loopback, running
from evrun import Evrun, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUR_OWN = {"user-agent", "accept", "accept-encoding", "connection", "host", "content-length"}
"""What each client says of itself."""

HOSTILE = (
    'it\'s "quoted" $HOME `id` $(id) \\n \\ !! @/etc/passwd\nnext line\ttab '
    "; & | > x * ? [a-b] {a,b} ü 漢 \x01"
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    refused = Answer(status=422, body={"detail": "No."})
    with running(Loopback(lambda _: refused)) as server:
        yield server


CALLS: dict[str, Callable[[Evrun], Any]] = {
    "get": lambda client: client.projects.get("pr_1"),
    "query": lambda client: client.logs.list("pr_1", search="a b&c=[1-3]{x,y}#'\"$HOME%", page=2),
    "post": lambda client: client.evaluations.log(
        "evrun_1", datapoint_id="1", log={"output": HOSTILE, "inputs": {"@file": None}}
    ),
    "patch": lambda client: client.logs.update("data_1", output=HOSTILE),
    "delete": lambda client: client.evaluators.delete("evfn_1"),
    "headers": lambda client: client.with_options(
        extra_headers={"X-Odd": 'it\'s "$HOME" `id`', "X-Empty": ""}
    ).projects.get("pr_1"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_shell_sends_what_the_client_sent(server: Loopback, call: str) -> None:
    """Pasted into a shell, the command makes the same request; the key comes from there."""
    with (
        Evrun(api_key=KEY, base_url=server.base_url) as client,
        pytest.raises(StatusError) as caught,
    ):
        CALLS[call](client)
    command = caught.value.as_curl()
    assert KEY not in command
    result = subprocess.run(
        ["sh", "-c", f"{command} --silent --noproxy '*'"],
        env={**os.environ, "EVRUN_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert result.stdout == '{"detail": "No."}'
    ours, curls = server.seen
    assert (curls.method, curls.path, curls.body) == (ours.method, ours.path, ours.body)
    assert headers(curls.headers) == headers(ours.headers)


def headers(given: Any) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in OUR_OWN}
