"""`evrun serve` as a process: with its output kept, or in a process group to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import httpx
from attrs import Factory, define
from prometheus_client.parser import text_string_to_metric_families

from _support.commands import _ADDRESS, COMMAND, environment
from evrun import Evrun, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@define
class Service:
    """A server whose output is kept."""

    process: subprocess.Popen[str]
    base_url: str
    said: list[str]
    """Its standard error, up to the address."""
    lines: list[str] = Factory(list)
    """Its access log so far."""

    @property
    def root(self) -> str:
        return self.base_url.removesuffix("/v4")

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def service(cwd: Path, *arguments: str, **more: str) -> Iterator[Service]:
    """Run `evrun serve`, and stop it if it has not been."""
    command: tuple[str | Path, ...] = (COMMAND, "serve", "--port", "0", *arguments)
    with started(cwd, command, subprocess.PIPE, more) as running:
        yield running


@contextmanager
def started(
    cwd: Path, command: tuple[str | Path, ...], stdout: int, more: dict[str, str]
) -> Iterator[Service]:
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(PYTHONUNBUFFERED="1", **more),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line.rstrip("\n"))
            if "startup complete" in line:
                break
        (base_url,) = (found[1] for line in said if (found := _ADDRESS.search(line)))
        running = Service(process, base_url, said)
        kept = ((process.stdout, running.lines), (process.stderr, running.said))
        readers = [threading.Thread(target=keep, args=each) for each in kept if each[0]]
        for reader in readers:
            reader.start()
        try:
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            for reader in readers:
                reader.join(60)


def keep(stream: IO[str], lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)


def metrics(server: Service) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and the values of its labels."""
    response = httpx.get(f"{server.root}/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def eventually(holds: Any) -> None:
    """Wait until something holds; the test's time limit is the end of patience."""
    while not holds():
        time.sleep(0.02)


def said_at_start(folder: Path, *arguments: str) -> list[str]:
    """Return what a server prints before it serves; it is stopped as a service manager does."""
    with subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *arguments],
        cwd=folder,
        env=environment(PYTHONUNBUFFERED="1"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if "startup complete" in line:
                break
        process.terminate()
        process.communicate(timeout=60)
    return lines


def start(folder: Path, port: int, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    """Start the server on `port` in a process group of its own; its clients wait for it."""
    return subprocess.Popen(
        [COMMAND, "serve", "--port", str(port), *arguments],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(client: Evrun) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            client.projects.list(size=1)
        except TransportError:
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.05)
        else:
            return


def kill_all(server: subprocess.Popen[bytes]) -> None:
    """Kill the server with its workers, at once."""
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
