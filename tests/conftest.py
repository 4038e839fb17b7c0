"""Fixtures that every test may use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from _support.client_kinds import WAYS, Way
from _support.databases import Postgres, run_postgres
from _support.vendor.sdk import install
from evrun.server.db.database import Database
from evrun.testing import no_waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Files with much to wait for, the longest first: a worker that began one of them last would go on
# alone at the end. xdist gives out files in the order in which they were collected.
LONGEST = (
    "test_conformance.py",
    "test_operating.py",
    "test_testing.py",
    "test_regenerate.py",
    "test_workers.py",
    "test_stopping.py",
    "test_transfer.py",
    "test_injection.py",
    "test_database.py",
    "test_limits.py",
    "test_serve.py",
    "test_paging.py",
    "test_logs.py",
    "test_regenerate_kill.py",
    "test_import_documents.py",
    "test_hostile_documents.py",
    "test_benchmark.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, which users have."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a real PostgreSQL server, which is started for the first test that wants it."""
    yield from run_postgres()


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's keys, addresses, proxies and certificates out of the tests."""
    for name in ("EVRUN_API_KEY", "EVRUN_BASE_URL", "HUMANLOOP_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("EVRUN_LOG", "EVRUN_LOG_PAYLOADS", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """Make the same call with each client over each transport."""
    found: Way = request.param
    return found


@pytest.fixture
def slept() -> Iterator[list[float]]:
    """Skip the waits of all clients, and return their seconds."""
    with no_waits() as waits:
        yield waits


@pytest.fixture(scope="session")
def vendor_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the vendor's SDK."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # all workers have it in common
    return install(folder / "vendor")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with the schema: making it takes longer than most tests."""
    file = tmp_path_factory.mktemp("template") / "evals.db"
    database = Database(f"sqlite:///{file}")
    database.open()
    database.close()
    return file
