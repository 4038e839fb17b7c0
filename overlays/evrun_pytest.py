"""The pytest plugin of evrun: a real server for each test that asks for one, and faults on demand.

This module is beside the package, because pytest loads every installed plugin, and must not load a
client and a server for unrelated tests. The values of the fixtures are in `evrun.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evrun import AsyncEvrun, Evrun
    from evrun.testing import Faults, Seeded, Server


def _require_server() -> None:
    """Fail with one line instead of a traceback if the server is not installed."""
    from evrun._base.extras import lack  # noqa: PLC0415 - see above

    sentence = lack("A fixture of evrun's", "server")
    if sentence is not None:
        pytest.fail(sentence, pytrace=False)


@pytest.fixture
def evrun_database_url(tmp_path: Path) -> str:
    """Return the URL of the database: a fresh SQLite file. Override it for PostgreSQL."""
    _require_server()
    from sqlalchemy import URL  # noqa: PLC0415 - see above

    return URL.create("sqlite", database=str(tmp_path / "evrun.db")).render_as_string()


@pytest.fixture
def evrun_server(evrun_database_url: str) -> Iterator[Server]:
    """Start evrun's real server on a port of this machine, over `evrun_database_url`."""
    _require_server()
    from evrun.testing import Server  # noqa: PLC0415 - see above

    with Server(evrun_database_url) as server:
        yield server


@pytest.fixture
def evrun_faults(evrun_server: Server) -> Faults:
    """Return the faults of `evrun_server`: `evrun_faults.plan(Rule(Drop("after"), nth=1))`."""
    return evrun_server.faults


@pytest.fixture
def evrun_environment(evrun_server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables with which `Evrun()` finds `evrun_server`, here and in subprocesses."""
    environment = evrun_server.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def evrun_client(evrun_server: Server) -> Iterator[Evrun]:
    """Return an `Evrun` of `evrun_server`."""
    with evrun_server.client() as client:
        yield client


@pytest.fixture
def async_evrun_client(evrun_server: Server) -> AsyncEvrun:
    """Return an `AsyncEvrun` of `evrun_server`. Its connections end with the event loop."""
    return evrun_server.async_client()


@pytest.fixture
def evrun_rows() -> Sequence[Mapping[str, Any]]:
    """Return the rows of the seeded dataset. Override it to use your rows."""
    _require_server()
    from evrun.testing import ROWS  # noqa: PLC0415 - see above

    return ROWS


@pytest.fixture
def evrun_seeded(evrun_client: Evrun, evrun_rows: Sequence[Mapping[str, Any]]) -> Seeded:
    """Create a project, a dataset with `evrun_rows`, a config, an evaluator and a running run."""
    from evrun.testing import seed  # noqa: PLC0415 - see above

    return seed(evrun_client, rows=evrun_rows)
