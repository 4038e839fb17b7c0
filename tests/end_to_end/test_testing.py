"""What tests of a pipeline get: the pytest plugin, in a process of its own, and the server."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from attrs import evolve

from _support.commands import environment
from _support.raw_http import Reply, connect, request, send
from evrun import ConfigurationError, RateLimitedError
from evrun.server.hosting.serve import DRAIN_TIMEOUT
from evrun.testing import (
    ConnectionLimits,
    Drop,
    Faults,
    Rate,
    Rule,
    Schedule,
    Server,
    Settings,
    Status,
    read_schedule,
)
from evrun.testing.serving import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _support.databases import Postgres

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "overlays" / "evrun" / "testing" / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))


def run_pytest(folder: Path, *arguments: str, **settings: str) -> str:
    """Run pytest in a folder of a user's and return what it prints. It must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *arguments],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_works(tmp_path: Path) -> None:
    """The pipeline of the page passes the test of the page, under each of its faults."""
    for name in ("pipeline.py", "test_pipeline.py"):
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    assert "6 passed" in run_pytest(tmp_path)


def test_the_example_works_over_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    """With the page's `conftest.py`, which leaves no database behind."""
    for name in ("pipeline.py", "test_pipeline.py", "conftest.py"):
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    before = postgres.databases()
    assert "6 passed" in run_pytest(tmp_path, POSTGRES_URL=postgres.url)
    assert postgres.databases() == before
    # There is nothing else that the tests could have been answered from.
    with pytest.raises(AssertionError, match="1 error"):
        run_pytest(tmp_path, "-x", POSTGRES_URL=postgres.url.replace("/postgres?", "/missing?"))


def test_the_example_can_fail(tmp_path: Path) -> None:
    """A pipeline that repeats what was lost under a new key logs twice, and the test says so."""
    careless = (
        BLOCKS["pipeline.py"]
        .replace(
            '            run.log(row.id, log={"output": answer(row.inputs["country"])})\n',
            '            body = {"output": answer(row.inputs["country"])}\n'
            "            try:\n"
            "                run.log(row.id, log=body)\n"
            "            except evrun.UnknownOutcomeError:\n"
            "                run.log(row.id, log=body)\n",
        )
        .replace("from evrun import Evrun", "import evrun\nfrom evrun import Evrun")
    )
    careless = careless.replace("with Evrun()", 'with Evrun(on_unknown="raise")')
    (tmp_path / "pipeline.py").write_text(careless, encoding="utf-8")
    (tmp_path / "test_pipeline.py").write_text(BLOCKS["test_pipeline.py"], encoding="utf-8")
    with pytest.raises(AssertionError, match="3 failed, 3 passed"):
        run_pytest(tmp_path)


def test_the_file_of_the_page_is_read(tmp_path: Path) -> None:
    """It says what the page says."""
    file = tmp_path / "faults.toml"
    file.write_text(BLOCKS["faults.toml"], encoding="utf-8")
    assert read_schedule(file) == Schedule(
        [
            Rule(Drop("after"), operation="Evaluations_log", probability=0.1),
            Rule(Status(503, retry_after=1), method="POST", nth=[2, 5]),
        ],
        seed=7,
    )
    Faults(read_schedule(file))


def test_the_page_names_every_fixture(tmp_path: Path) -> None:
    """The table holds the fixtures that there are, and each has a sentence."""
    listed = run_pytest(tmp_path, "--fixtures", "-p", "no:cacheprovider")
    there = set(re.findall(r"^(\w*evrun_\w+) -- ", listed, re.MULTILINE))
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == there
    heading = "fixtures defined from"
    ours = listed.partition(f"{heading} evrun_pytest")[2].partition(heading)[0]
    assert there <= set(re.findall(r"\w+", ours))
    assert "no docstring available" not in ours


UNUSED = """
import sys

def test_that_has_nothing_to_do_with_it():
    assert "evrun_pytest" in sys.modules
    assert not [each for each in sys.modules if each.split(".")[0] in {"evrun", "evrun_api"}]
"""


def test_the_plugin_loads_nothing_until_it_is_used(tmp_path: Path) -> None:
    """Tests that have nothing to do with evrun do not pay for it: not one module of it is there."""
    (tmp_path / "test_unused.py").write_text(UNUSED, encoding="utf-8")
    assert "1 passed" in run_pytest(tmp_path)


USED = """
import subprocess
import sys

import pytest

import evrun
from evrun import AsyncEvrun, ConflictError, Evrun
from evrun.testing import read_schedule


@pytest.fixture
def evrun_rows():
    return [{"inputs": {"n": str(n)}} for n in range(5)]


@pytest.fixture
def evrun_database_url(tmp_path):
    return f"sqlite:///{tmp_path / 'of-mine.db'}"


def test_rows_and_database_of_ones_own(evrun_seeded, evrun_client, tmp_path):
    assert [each.inputs for each in evrun_seeded.datapoints] == [{"n": str(n)} for n in range(5)]
    assert evrun_seeded.run.status == "running"
    assert evrun_client.datasets.list_datapoints(evrun_seeded.dataset.id).total == 5
    assert (tmp_path / "of-mine.db").is_file()


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_has_a_server_of_its_own(number, evrun_client):
    assert evrun_client.projects.list().total == 0
    evrun_client.projects.create(name="p")


def test_what_is_seeded_takes_logs_and_verdicts(evrun_seeded, evrun_client):
    run = evrun_client.run(evrun_seeded.run.id)
    logged = run.log(evrun_seeded.datapoints[0].id, log={"output": "x"})
    assert run.result(logged.id, evaluator_id=evrun_seeded.evaluator.id, result=True).value is True
    run = evrun_client.evaluations.create(
        project_id=evrun_seeded.project.id,
        config_id=evrun_seeded.config_id,
        dataset_id=evrun_seeded.dataset.id,
        evaluator_ids=[],
    )
    assert run.status == "pending"


def test_a_process_finds_it(evrun_environment, evrun_client):
    code = "from evrun import Evrun; Evrun().projects.create(name='made elsewhere')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [each.name for each in evrun_client.projects.list().records] == ["made elsewhere"]


@pytest.mark.anyio
async def test_the_async_client(async_evrun_client, evrun_seeded):
    assert isinstance(async_evrun_client, AsyncEvrun)
    assert (await async_evrun_client.projects.list()).total == 1


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_a_schedule_from_a_file(evrun_seeded, evrun_faults, evrun_client, tmp_path):
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\\nkind = "drop"\\nwhen = "after"\\nmethod = "POST"\\nnth = 1\\n')
    evrun_faults.follow(read_schedule(file))
    evrun_client.projects.create(name="once")
    assert [str(each.rule.fault) for each in evrun_faults.happened] == ["drop after the commit"]
    names = sorted(each.name for each in evrun_client.projects.list().records)
    assert names == ["once", "seeded"]


def test_the_server_ends(evrun_server):
    evrun_server.close()
    with pytest.raises(evrun.ConnectError), Evrun(
        api_key="k", base_url=evrun_server.base_url, max_retries=0
    ) as client:
        client.projects.list()
    assert repr(evrun_server).startswith("Server(base_url='http://127.0.0.1:")
"""


def test_the_fixtures_give_what_the_page_says(tmp_path: Path) -> None:
    """Rows and database of one's own, isolation, subprocesses, async, an end without warnings."""
    (tmp_path / "test_used.py").write_text(USED, encoding="utf-8")
    assert "8 passed" in run_pytest(tmp_path)


# The server itself, in this process.


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Server]:
    limits = ConnectionLimits(head_timeout=0.2, body_timeout=0.2, write_timeout=0.2)
    settings = evolve(SETTINGS, limits=limits, body_limit=1000, rate=Rate(20, 3600))
    with Server(f"sqlite:///{tmp_path / 'evrun.db'}", settings=settings) as server:
        yield server


def ask(server: Server, method: str, body: bytes = b"", *, length: int | None = None) -> Reply:
    """Send a request, of which `length` bytes are announced, and return its answer."""
    announced = str(len(body) if length is None else length)
    more = {"X-API-KEY": server.key, "Content-Length": announced}
    (reply,) = send(server.base_url, request(method, "/v4/projects", more, body))
    return reply


def test_the_limits_of_evrun_serve_hold(limited: Server) -> None:
    """On bodies, on the time for heads and bodies, and on what is not a request."""
    long = ask(limited, "POST", b" " * 1001)
    assert (long.status, long.detail) == (
        413,
        "The body is longer than 1000 bytes. Send less in one request.",
    )
    slow = ask(limited, "POST", length=10)
    assert (slow.status, slow.detail.partition(":")[0]) == (408, "The body came too slowly")
    (late,) = send(limited.base_url, b"GET /v4/projects HTTP/1.1\r\nHost: x\r\n")
    assert (late.status, late.detail) == (
        408,
        "The head of the request took longer than 0.2 s.",
    )
    (malformed,) = send(limited.base_url, b"nonsense\r\n\r\n")
    assert malformed.status == 400
    assert malformed.headers["evrun-capabilities"] == long.headers["evrun-capabilities"]


def test_connections_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    """As `evrun serve --max-connections` does."""
    settings = evolve(SETTINGS, limits=ConnectionLimits(max_connections=3))
    with (
        Server(f"sqlite:///{tmp_path / 'evrun.db'}", settings=settings) as server,
        ExitStack() as stack,
    ):
        for _ in range(3):
            stack.enter_context(connect(server.base_url))
        busy = ask(server, "GET")
    assert (busy.status, busy.headers["retry-after"]) == (503, "1")


def test_a_rate_holds(limited: Server) -> None:
    """What `evrun serve --rate-limit` does is there for tests."""
    with limited.client(max_retries=0) as client:
        for _ in range(20):
            client.projects.list()
        with pytest.raises(RateLimitedError, match="more than 20 requests in 3600 s"):
            client.projects.list()
    page = httpx.get(f"{limited.base_url.removesuffix('/v4')}/metrics").text
    assert 'evrun_requests_total{method="GET",route="/v4/projects",status="429"} 1.0' in page


def test_the_limits_are_those_of_evrun_serve() -> None:
    """Unless others are given: only the access log and the time to finish in differ."""
    assert evolve(SETTINGS, access_log="text", drain_timeout=DRAIN_TIMEOUT) == Settings()


def test_it_speaks_tls(tmp_path: Path) -> None:
    """With a certificate, as `evrun serve` does."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    chain = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    chain.write_to_path(str(tmp_path / "server.pem"))
    settings = evolve(SETTINGS, certificate=str(tmp_path / "server.pem"))
    with (
        Server(f"sqlite:///{tmp_path / 'evrun.db'}", settings=settings) as server,
        server.client(verify=str(tmp_path / "ca.pem")) as client,
    ):
        assert server.base_url.startswith("https://127.0.0.1:")
        assert client.projects.list().total == 0


@pytest.mark.parametrize("settings", [Settings(workers=2), Settings(faults=Schedule())])
def test_settings_that_it_would_not_follow_are_refused(settings: Settings, tmp_path: Path) -> None:
    """Rather than dropped."""
    with pytest.raises(ConfigurationError, match=r"has one worker, and takes faults=Faults"):
        Server(f"sqlite:///{tmp_path / 'evrun.db'}", settings=settings)
