"""A server whose clock steps, as when somebody sets it: the monotonic clock goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from attrs import frozen

from _support.acknowledged import balance
from _support.c_library import preloaded
from _support.commands import evrun, new_key
from _support.load_threads import Load, load_on
from _support.raw_http import connect, received, replies
from _support.serve_process import service

if TYPE_CHECKING:
    from pathlib import Path

# Preloaded into the server. libfaketime 0.9.10 lets no thread sleep if it spares the monotonic one.
SHIM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, id, now);
    FILE *file = id == CLOCK_REALTIME ? fopen(getenv("CLOCK_FILE"), "r") : NULL;
    if (file) {
        long hours = 0;
        if (fscanf(file, "%ld", &hours) == 1) now->tv_sec += hours * 3600;
        fclose(file);
    }
    return result;
}
"""


@frozen
class Clock:
    """The clock of a process that has `settings` in its environment."""

    file: Path
    settings: dict[str, str]

    def set(self, hours: int) -> None:
        """Let it be off by so many hours, from now on."""
        new = self.file.with_suffix(".new")
        new.write_text(str(hours))
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """Return a clock that is right."""
    file = tmp_path / "clock"
    clock = Clock(file, {"CLOCK_FILE": str(file), **preloaded(SHIM, tmp_path / "clock.so")})
    clock.set(0)
    return clock


def project(load: Load, name: str) -> datetime:
    """Make a project and return when, by the server's clock."""
    answer = httpx.post(
        f"{load.base_url}/projects", json={"name": name}, headers={"X-API-KEY": load.key}
    )
    assert answer.status_code == 201
    return datetime.fromisoformat(answer.json()["created_at"])


def log(load: Load, number: int) -> httpx.Response:
    """Send the log of a number, under its key."""
    path = f"{load.base_url}/evaluations/{load.run_id}/log"
    return httpx.post(path, json=load.body(number), headers=load.headers(number))


@pytest.mark.soak
def test_a_clock_that_steps_back_an_hour_under_load(tmp_path: Path, clock: Clock) -> None:
    """Ids still grow, keys are still remembered, the log that came last counts; nothing is lost."""
    url = f"sqlite:///{tmp_path}/evals.db"
    key = new_key(tmp_path, database=url)
    with service(tmp_path, "--database", url, "--client-timeout", "2", **clock.settings) as server:
        load = load_on(server.base_url, key)
        with load.running(), connect(load.base_url) as slow:
            load.progress()
            slow.sendall(b"GET /v4/projects")
            clock.set(-1)
            load.progress()
            (reply,) = replies(received(slow))
        assert reply.status == 408  # in its time: no wait is by this clock
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        assert abs(project(load, "now") - an_hour_ago) < timedelta(minutes=10)
        assert load.refusals == []
        first = log(load, 0)
        assert first.headers["Idempotent-Replayed"] == "true"
        assert first.json()["id"] == load.acknowledged["log-0"]
        for number in range(10**6, 10**6 + 4):
            load.acknowledged[f"log-{number}"] = log(load, number).json()["id"]
        # In the order in which they were acknowledged, but for what was under way side by side.
        ids = list(load.acknowledged.values())
        assert ids[-4:] == sorted(ids)[-4:]
        rows = httpx.get(
            f"{load.base_url}/evaluations/{load.run_id}/datapoints", headers=load.headers(0)
        ).json()["records"]
        assert {row["log"]["id"] for row in rows} == set(ids[-2:])
    balance(url, load)


@pytest.mark.soak
def test_a_key_that_expires_goes_by_the_clock_on_the_wall(tmp_path: Path, clock: Clock) -> None:
    """Too early by a clock that is fast, and good again when that is set right."""
    url = f"sqlite:///{tmp_path}/evals.db"
    arguments = ("--expires", "1h", "--database", url)
    key = evrun("keys", "create", "short", *arguments, cwd=tmp_path).stdout.strip()
    with service(tmp_path, "--database", url, **clock.settings) as server:
        answers = []
        for hours in (0, 2, 0, -2):
            clock.set(hours)
            answer = httpx.get(f"{server.base_url}/projects", headers={"X-API-KEY": key})
            answers.append(answer.status_code)
    assert answers == [200, 401, 200, 200]
