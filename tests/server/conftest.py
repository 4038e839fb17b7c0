"""The real server over a real database, for each test a fresh one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import evrun
import evrun_models
from _support import databases
from _support.databases import KINDS, fresh
from _support.served import Api, Run, make_run
from evrun.server.db.database import Database
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a SQLite database goes."""
    return tmp_path / "evals.db"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of what the store does over both databases, all others over SQLite alone."""
    if "url" not in metafunc.fixturenames:
        return
    marks = metafunc.definition.iter_markers("parametrize")
    if any("url" in each.args[0] for each in marks):
        return
    both = metafunc.definition.get_closest_marker("both_databases")
    metafunc.parametrize("url", KINDS if both else KINDS[:1], indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """Return where the database of the test is."""
    with fresh(request, file) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Return the database behind `server`."""
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def server(url: str) -> Iterator[EmbeddedServer]:
    """Return a server in this process."""
    server = EmbeddedServer(Database(url))
    yield server
    server.close()


@pytest.fixture
def stored(database: Database, url: str) -> Callable[[], bytes]:
    """Return what tells everything that the database holds, to look for what it must not."""

    def everything() -> bytes:
        database.close()  # what is still in memory goes into the files
        return databases.stored(url)

    return everything


@pytest.fixture
def api(server: EmbeddedServer) -> Iterator[Api]:
    """Return the API under the default organisation."""
    api = Api(server.transport(), server.key)
    yield api
    api.http.close()


@pytest.fixture
def run(api: Api) -> Run:
    """Return a running run with three datapoints and one boolean evaluator."""
    return make_run(api)


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment in which a subprocess can import what we can."""
    package = Path(evrun.__file__).parents[1]
    models = Path(evrun_models.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(models)])}
