"""The real server over a real file, for each test a fresh one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from served import Api, Run, make_run

import evrun
import evrun_models
from evrun.server.database import Database
from evrun.server.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the database goes."""
    return tmp_path / "evals.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """Return the database behind `server`."""
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


@pytest.fixture
def server(file: Path) -> Iterator[EmbeddedServer]:
    """Return an embedded server."""
    server = EmbeddedServer(file)
    yield server
    server.close()


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
