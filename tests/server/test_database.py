from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from _support.databases import KINDS, fresh, restore
from _support.served import Api
from evrun.server import DatabaseUnusableError
from evrun.server.db.database import Database
from evrun.server.db.migrations import FOLDER, REVISIONS
from evrun.server.db.tables import METADATA
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _support.served import Run

pytestmark = pytest.mark.both_databases

SCHEMAS = Path(__file__).parent / "schemas"


def test_the_migrations_make_the_schema(database: Database) -> None:
    """A migrated database has exactly the tables that the code declares."""
    differences = database.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), METADATA)
    )
    assert differences == []


def test_the_list_of_revisions_is_complete() -> None:
    """REVISIONS names what lies in versions/, oldest first."""
    scripts = ScriptDirectory(str(FOLDER)).walk_revisions()
    assert [each.revision for each in scripts][::-1] == list(REVISIONS)


def test_every_schema_that_landed_is_kept_for_the_upgrade_tests() -> None:
    """`schemas/` has a filled database of each revision, as SQL."""
    assert sorted(each.stem for each in SCHEMAS.iterdir()) == sorted(REVISIONS)


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """Return where a database is that has no schema yet."""
    with fresh(request, file, empty=True) as url:
        yield url


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_each_revision_opens_with_all_that_it_holds(
    empty: str, revision: str
) -> None:
    """It gets the newest schema, and everything in it is read, searched and added to as before."""
    restore(empty, SCHEMAS / f"{revision}.sql")
    server = EmbeddedServer(Database(empty))
    api = Api(server.transport(), server.key)
    (project,) = api.ok("Projects_list")["records"]
    (run,) = api.ok("Evaluations_list", project_id=project["id"])["records"]
    assert run["evaluator_aggregates"][0]["aggregate_value"] == 1.0
    by_name = {"config_filter": run["config"].get("name") or run["config"]["model"]}
    assert api.ok("Evaluations_list", project_id=project["id"], **by_name)["records"] == [run]
    unsaved, saved = api.ok("Logs_list", project_id=project["id"])["records"]
    assert (saved["output"], saved["save"], unsaved["output"]) == ("Paris", True, None)
    assert len(saved["feedback"]) == 3
    for query, expected in (
        ({"feedback-rating_filter": "good"}, [saved]),  # the newest, although sent first
        ({"feedback-rating_filter": "bad"}, [unsaved]),
        ({"feedback-issue_filter": "wrong"}, [saved]),
        ({"search": "welche"}, [saved]),
        ({"search": "1.5"}, [saved]),
        ({"search": "rome"}, []),  # it was not saved
        ({"metadata_search": "GRÖSSE"}, [saved]),
    ):
        assert api.ok("Logs_list", project_id=project["id"], **query)["records"] == expected
    assert api.ok("Projects_list", filter="STÄDTE")["records"] == [project]
    body = {"datapoint_id": saved["source_datapoint_id"], "log": {"output": "new"}}
    assert api.ok("Evaluations_log", body, evaluation_id=run["id"])["id"] > saved["id"]
    api.http.close()
    server.close()
    database = Database(empty)
    context = database.read(lambda c: compare_metadata(MigrationContext.configure(c), METADATA))
    database.close()
    assert context == []


def test_opening_a_current_database_imports_no_alembic(
    database: Database, url: str, environment: dict[str, str]
) -> None:
    """Alembic is for databases that are not current."""
    database.open()
    code = (
        "import sys; from evrun.server import Database; "
        "d = Database(sys.argv[1]); d.open(); d.close(); "
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, url], check=True, env=environment)


def test_a_newer_database_is_refused(database: Database) -> None:
    """The sentence says to upgrade, and nothing is touched."""
    database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    database.close()
    with pytest.raises(
        DatabaseUnusableError, match=r"newer evrun \(schema 9999.*pip install -U evrun"
    ):
        database.open()


@pytest.mark.parametrize("revision", ["0001", "0006"])
def test_a_database_from_before_the_release_is_refused(database: Database, revision: str) -> None:
    """The sentence says to export with the older version, and nothing is touched."""
    set_revision = text("UPDATE alembic_version SET version_num = :revision")
    database.write(lambda c: c.execute(set_revision, {"revision": revision}))
    database.close()
    sentence = rf"before the first release \(schema {revision}\).*evrun export.*evrun import"
    with pytest.raises(DatabaseUnusableError, match=sentence):
        database.open()
    assert database.revision() == revision


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    """What was written before the failure is undone."""

    def fail(connection: object) -> None:
        connection.execute(text("DELETE FROM organisations"))  # type: ignore[attr-defined]
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        database.write(fail)
    count = text("SELECT count(*) FROM organisations")
    assert database.read(lambda connection: connection.execute(count).scalar()) == 1


WRITER = """
import sys
from evrun.server import Database
from evrun.server.hosting.embedded import EmbeddedServer
import httpx
server = EmbeddedServer(Database(sys.argv[1]))
client = httpx.Client(transport=server.transport(), base_url=server.base_url,
                      headers={"X-API-KEY": server.key}, timeout=60)
for n in range(int(sys.argv[3])):
    response = client.post("/projects", json={"name": f"{sys.argv[2]}-{n}"})
    assert response.status_code == 201, response.text
server.close()
"""


def test_processes_share_a_fresh_database(empty: str, environment: dict[str, str]) -> None:
    """Four processes make and migrate one at once; every write of theirs is there after."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, empty, str(number), "25"],
            env=environment,
            stderr=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for writer in writers:
        _, complaints = writer.communicate(timeout=100)
        assert (writer.returncode, complaints) == (0, b"")
    server = EmbeddedServer(Database(empty))
    api = Api(server.transport(), server.key)
    assert api.ok("Projects_list")["total"] == 100
    api.http.close()
    server.close()


LOGGER = """
import json, sys, httpx
from evrun.server import Database
from evrun.server.hosting.embedded import EmbeddedServer
server = EmbeddedServer(Database(sys.argv[1]))
client = httpx.Client(transport=server.transport(), base_url=server.base_url,
                      headers={"X-API-KEY": server.key})
while True:
    response = client.post(sys.argv[2], content=sys.argv[3])
    assert response.status_code == 201, response.text
    print(response.json()["id"], flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(
    run: Run, url: str, environment: dict[str, str]
) -> None:
    """After kill -9 every log whose id was answered is there, and the database opens as ever."""
    body = httpx.Request("POST", "http://x", json=run.log_body(output="x")).content.decode()
    process = subprocess.Popen(
        [sys.executable, "-c", LOGGER, url, f"/evaluations/{run.id}/log", body],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ids = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    ids += process.stdout.read().split()
    process.stdout.close()
    process.wait()
    for log_id in ids:
        if len(log_id) == len(ids[0]):  # the last line may be cut
            assert run.api.ok("Logs_get", id=log_id)["output"] == "x"
