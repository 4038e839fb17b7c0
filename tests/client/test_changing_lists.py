"""`iter_*` over the real server while the list changes, also by the loop itself."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _support.client_kinds import WAYS, Way
from _support.databases import fresh
from evrun import AsyncEvrun, EvaluatorSort, Evrun, FeedbackSort
from evrun.server import Database
from evrun.server.store.retention import prune
from evrun.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evrun.ids import ConfigId, DatapointId, DatasetId, EvaluatorId, LogId, ProjectId

    Change = Callable[["World", Any], object]
    """What happens after each record that comes."""

ROWS = 5
_NUMBERS = itertools.count(100)  # of as many digits: to find "world 100" finds nothing else


@define
class World:
    """A project with so many runs, each with a log in a session of its own, and more projects."""

    client: Evrun
    database: Database
    name: str
    project: ProjectId
    config: ConfigId
    dataset: DatasetId
    evaluator: EvaluatorId
    row: DatapointId
    logged: dict[str, LogId] = field(factory=dict)
    """The log of each run."""
    run_of: dict[str, str] = field(factory=dict)
    """The run of each run, log and session."""

    @classmethod
    def of(cls, client: Evrun, database: Database) -> World:
        name = f"world {next(_NUMBERS)}"
        project = client.projects.create(name=name).id
        dataset = client.datasets.create(project, name="rows", description="").id
        (row, *_) = client.datasets.create_datapoints(dataset, datapoints=[{}] * ROWS)
        evaluator = client.evaluators.create(
            name="score",
            description="",
            arguments_type="target_free",
            return_type="number",
            type="external",
        )
        config = client.model_configs.register({"project_id": project, "model": "m"}).config_id
        world = cls(client, database, name, project, config, dataset, evaluator.id, row.id)
        for _ in range(ROWS):
            world.add_run()
            world.add_project()
        return world

    def start_run(self) -> str:
        run_id = self.client.evaluations.create(
            project_id=self.project,
            config_id=self.config,
            dataset_id=self.dataset,
            evaluator_ids=[self.evaluator],
        ).id
        self.client.run(run_id).start()
        return run_id

    def add_run(self) -> None:
        number = len(self.logged)
        run_id = self.start_run()
        run = self.client.run(run_id)
        log: dict[str, Any] = {"output": "here", "session_reference_id": run_id}
        if number % 2:
            log["source"] = "a"
        if number % 3:
            log["feedback"] = {"type": "rating", "value": "good"}
        logged = run.log(self.row, log=log)
        self.logged[run_id] = logged.id
        for each in (run_id, logged.id, logged.session_id):
            self.run_of[str(each)] = run_id
        self.judge(run_id, number % 2)

    def add_project(self) -> None:
        self.client.projects.create(name=f"{self.name} {next(_NUMBERS)}")

    def judge(self, run_id: str, score: float) -> None:
        self.client.run(run_id).result(
            log_id=self.logged[run_id], evaluator_id=self.evaluator, result=score
        )


def add_runs(world: World, _: Any) -> None:
    """Add more than a page, of logs and sessions too."""
    for _ in range(3):
        world.add_run()


def add_projects(world: World, _: Any) -> None:
    for _ in range(3):
        world.add_project()


def add_rows(world: World, _: Any) -> None:
    world.client.datasets.create_datapoints(world.dataset, datapoints=[{}] * 3)


def delete(world: World, record: Any) -> None:
    """Delete a run, or that of a log or a session, with all that is in it."""
    complete(world, record)
    prune(world.database, datetime.now(UTC) + timedelta(days=1))


def complete(world: World, record: Any) -> None:
    world.client.run(world.run_of[record.id]).complete()


def change_output(world: World, log: Any) -> None:
    world.client.logs.update(log.id, output="gone")


def judge_worse(world: World, run: Any) -> None:
    world.judge(run.id, -1)


def judge_better(world: World, run: Any) -> None:
    world.judge(run.id, 2)


def use(world: World, project: Any) -> None:
    """Change when a project was updated."""
    config = {"project_id": project.id, "model": f"model {next(_NUMBERS)}"}
    world.client.model_configs.register(config)


RUNS, LOGS, SESSIONS = "evaluations.iter_all", "logs.iter_all", "sessions.iter_all"
PROJECTS, ROWS_OF = "projects.iter_all", "datasets.iter_datapoints"
RUN_ROWS = "evaluations.iter_datapoints"
BY_MEAN = [
    {"sort": [EvaluatorSort("evaluator", order)]}  # the evaluator's id comes with the world
    for order in ("asc", "desc")
]
CASES: list[tuple[str, dict[str, Any], Change]] = [
    *((name, {}, add_runs) for name in (RUNS, LOGS, SESSIONS)),
    (PROJECTS, {}, add_projects),
    *((name, {}, add_rows) for name in (ROWS_OF, RUN_ROWS)),
    *((name, {}, delete) for name in (RUNS, LOGS, SESSIONS)),
    (RUNS, {"status_filter": ["running"]}, complete),
    (RUNS, {"status_filter": ["running"]}, add_runs),
    (RUNS, {"status_filter": ["running"], "sort": ["dataset.desc", "config.asc"]}, complete),
    *((RUNS, {"sort": [f"status.{order}"]}, complete) for order in ("asc", "desc")),
    *((RUNS, by, change) for by in BY_MEAN for change in (judge_worse, judge_better, delete)),
    (LOGS, {"search": "here"}, change_output),
    (LOGS, {"search": "here", "sort": ["source.asc"]}, change_output),
    (LOGS, {"sort": ["source.desc", "timestamp.asc"]}, delete),
    (LOGS, {"sort": [FeedbackSort("rating", "asc")]}, delete),
    (LOGS, {"sort": [FeedbackSort("rating", "desc"), "model.asc"]}, add_runs),
    *(
        (PROJECTS, {"sort_by": by, "order": order}, change)
        for by in ("updated_at", "name")
        for order in ("asc", "desc")
        for change in (use, add_projects)
    ),
]
SEVERAL: list[tuple[str, dict[str, Any], Change]] = [
    (RUNS, {"status_filter": ["running"]}, complete),
    (RUNS, BY_MEAN[1], judge_worse),
    (LOGS, {"sort": ["source.desc", "timestamp.asc"]}, delete),
    (SESSIONS, {}, add_runs),
    (PROJECTS, {"sort_by": "updated_at", "order": "asc"}, use),
]
"""A row for each kind of change and of order."""


def subject(world: World, name: str) -> dict[str, Any]:
    if name == RUN_ROWS:
        return {"evaluation_id": next(iter(world.logged))}
    if name == ROWS_OF:
        return {"dataset_id": world.dataset}
    return {"filter": world.name} if name == PROJECTS else {"project_id": world.project}


def arguments(world: World, name: str, more: dict[str, Any]) -> dict[str, Any]:
    sort = [
        EvaluatorSort(world.evaluator, each.order) if isinstance(each, EvaluatorSort) else each
        for each in more.get("sort", ())
    ]
    return {**subject(world, name), **more, **({"sort": sort} if sort else {})}


def method(client: Evrun | AsyncEvrun, name: str) -> Any:
    resource, _, each = name.partition(".")
    return getattr(getattr(client, resource), each)


def identity(record: Any) -> str:
    found: str = (record.datapoint if hasattr(record, "datapoint") else record).id
    return found


def visit(
    world: World, walker: Evrun | AsyncEvrun, name: str, more: dict[str, Any], change: Change
) -> list[str]:
    """Return the ids that come when the list changes after each of them."""
    given = arguments(world, name, more)
    shown = []

    def see(record: Any) -> None:
        shown.append(identity(record))
        if len(shown) <= ROWS:  # what is added without end would come without end
            change(world, record)

    if isinstance(walker, Evrun):
        for record in method(walker, name)(**given, page_size=2):
            see(record)
        return shown

    async def wait() -> None:
        async for record in method(walker, name)(**given, page_size=2):
            see(record)

    asyncio.run(wait())
    return shown


def test_every_iterator_is_here(local: Evrun) -> None:
    """No list that has pages is left out."""
    assert {name for name, *_ in CASES} == {
        f"{resource}.{name}"
        for resource in (
            "projects",
            "datasets",
            "datapoints",
            "evaluators",
            "evaluations",
            "logs",
            "sessions",
        )
        for name in dir(getattr(local, resource))
        if name.startswith("iter_") and name != "iter_log_many"
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changing") / "evals.db"


@pytest.fixture(scope="module")
def local(file: Path) -> Iterator[Evrun]:
    with Evrun.local(file) as client:
        yield client


@pytest.fixture(scope="module")
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def new_world(local: Evrun, database: Database) -> Callable[[], World]:
    """Return what makes a world in one file, beside those of other tests."""
    return lambda: World.of(local, database)


@pytest.fixture
def served(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[tuple[Server, Database]]:
    """Return a server on a port, and the database behind it."""
    with fresh(request, tmp_path / "evals.db") as url, Server(url) as server:
        database = Database(url)
        yield server, database
        database.close()


def check(
    world: World, walker: Evrun | AsyncEvrun, name: str, more: dict[str, Any], change: Change
) -> None:
    """Fail unless all that is there comes once, and what comes besides is new."""
    before = [identity(each) for each in method(world.client, name)(**arguments(world, name, more))]
    assert len(before) >= 1
    shown = visit(world, walker, name, more, change)
    assert [each for each in shown if each in before] == before
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(("name", "more", "change"), CASES)
def test_what_is_there_throughout_comes_once(
    new_world: Callable[[], World], local: Evrun, name: str, more: dict[str, Any], change: Change
) -> None:
    """In the order in which it was at the beginning, whatever the loop does to what came."""
    check(new_world(), local, name, more, change)


@pytest.mark.parametrize(("name", "more", "change"), SEVERAL)
def test_it_comes_once_awaited(
    new_world: Callable[[], World], file: Path, name: str, more: dict[str, Any], change: Change
) -> None:
    """The same with `async for`."""
    check(new_world(), AsyncEvrun.local(file), name, more, change)


@pytest.mark.parametrize(
    ("served", "way"),
    [*(("sqlite", way) for way in WAYS), ("postgresql", WAYS[0])],
    indirect=["served"],
    ids=str,
)
def test_it_comes_once_over_a_socket(served: tuple[Server, Database], way: Way) -> None:
    """Over each transport and through either client; and from PostgreSQL."""
    server, database = served
    with Evrun(api_key=server.key, base_url=server.base_url) as client:
        kind = Evrun if way.kind == "sync" else AsyncEvrun
        walker = kind(api_key=server.key, base_url=server.base_url, transport=way.transport)
        for name, more, change in SEVERAL:
            check(World.of(client, database), walker, name, more, change)
        if isinstance(walker, Evrun):
            walker.close()


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "complete", "nothing"]), st.integers(0, 30)), max_size=12
)


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    return new_world()


@given(
    actions=ACTIONS,
    number=st.integers(0, 7),
    page_size=st.integers(1, 4),
    sort=st.sampled_from([None, ["config.asc"], ["dataset.desc", "status.asc"]]),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_however_the_list_changes(
    world: World,
    actions: list[tuple[str, int]],
    number: int,
    page_size: int,
    sort: Any,
) -> None:
    """What matches from the first request to the last comes once, and nothing comes twice."""
    client = world.client
    alive = [world.start_run() for _ in range(number)]
    throughout = set(alive)
    shown = []
    left = iter(actions)
    runs = client.evaluations.iter_all(
        world.project, status_filter=["running"], sort=sort, page_size=page_size
    )
    for run in runs:
        shown.append(str(run.id))
        what, which = next(left, ("nothing", 0))
        if what == "add":
            alive.append(world.start_run())
        elif what == "complete" and alive:
            gone = alive.pop(which % len(alive))
            client.run(gone).complete()
            if gone not in shown:
                throughout.discard(gone)
    assert throughout <= set(shown)
    assert len(shown) == len(set(shown))
    for each in alive:
        client.run(each).complete()
