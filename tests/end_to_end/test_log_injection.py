"""What callers send forges nothing in a server's logs: one line each, and none of their making."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from _support.commands import new_key
from _support.hostile_texts import TEXTS
from _support.raw_http import request, send
from _support.serve_process import service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = "forged!"  # no request id: a caller may choose one of letters and digits
HEADERS = ("User-Agent", "X-Request-ID", "X-Forwarded-For", "Idempotency-Key", "Referer", "Cookie")


def hostile_requests(key: str) -> Iterator[bytes]:
    """Yield each text in paths, in queries, as the method, in every header and in the body."""
    good = {"X-API-KEY": key}
    for text in TEXTS.values():
        content = text.replace("#", MARK).encode("utf-8", "surrogatepass")
        quoted, raw = quote(content, safe=""), content.decode("latin-1")
        for target in (f"/v4/projects/{quoted}", f"/{quoted}", f"/v4/projects?filter={quoted}"):
            yield request("GET", target, good)
        yield request("GET", f"/v4/projects/{raw}", good)
        yield request(raw, "/v4/projects", good)
        for header in HEADERS:
            yield request("POST", "/v4/projects", {**good, header: raw}, b"{}")
        yield request("GET", "/v4/projects", {"X-API-KEY": raw})
        yield request("POST", "/v4/projects", good, json.dumps({"name": text}).encode())
        yield request("POST", "/v4/projects", {**good, "Content-Encoding": raw}, b"{}")


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_logs_hold_a_line_for_each_request(tmp_path: Path, form: str) -> None:
    """Printable, without a key or a word of the caller's; standard error says nothing at all."""
    key = new_key(tmp_path)
    with service(tmp_path, "--access-log", form) as server:
        asked = list(hostile_requests(key))
        answers = [answer for each in asked for answer in send(server.base_url, each)]
        assert server.stop() == 0
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert max(answer.status for answer in answers) < 500
    assert len(server.lines) == len(answers) == len(asked)
    for line in server.lines:
        assert line.isprintable(), line
        if form == "json":
            entry = json.loads(line)
            assert entry["method"] in {"GET", "POST", "other"}
    whole = "\n".join([*server.lines, *server.said])
    assert MARK not in whole
    assert key not in whole
    assert "Traceback" not in whole


def test_faults_are_told_without_forging(tmp_path: Path) -> None:
    """A server that fails requests names each on one line, whatever its path decodes to."""
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "status"\nstatus = 503\n')
    key = new_key(tmp_path)
    with service(tmp_path, "--faults", "faults.toml") as server:
        before = len(server.said)
        for text in TEXTS.values():
            quoted = quote(text.encode("utf-8", "surrogatepass"), safe="")
            (answer,) = send(server.base_url, request("GET", f"/v4/{quoted}", {"X-API-KEY": key}))
            assert answer.status == 503
        assert server.stop() == 0
    told = [line for line in server.said[before:] if "on purpose" in line]
    assert len(told) == len(TEXTS)
    assert all(line.isprintable() for line in server.said), server.said
