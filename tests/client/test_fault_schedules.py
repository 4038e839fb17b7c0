"""Exactly once: our client and our server under any schedule of faults between them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from fake_clock import FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import running

from evrun import AsyncEvrun, Evrun, UnknownOutcomeError, errors
from evrun.server.embedded import EmbeddedServer
from evrun.testing import Delay, Drop, Duplicate, Fault, Faults, Rule, Server, Status, Truncate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evrun.results import EvaluationRun

PATIENCE = httpx.Timeout(10, read=0.3)
LATE = 0.4  # seconds: the client has given up before

FAULTS: tuple[Fault, ...] = (
    Status(503, retry_after=1),  # not done, and said so
    Status(500),
    Status(502, when="after"),  # done, and something in between says otherwise
    Drop("before"),
    Drop("after"),
    Truncate(),
    Truncate(0),
    Delay(LATE),  # over a socket it arrives after the client has gone
    Delay(LATE, when="after"),
    Duplicate(),
)

Wire = Literal["socket", "embedded"]


@contextmanager
def serving(wire: Wire, file: Path, *, awaited: bool = False) -> Iterator[tuple[Faults, Any]]:
    """Yield the faults of a server and the settings of a client of it.

    At its end all that was sent has arrived.
    """
    if wire == "socket":
        with Server(f"sqlite:///{file}") as server:
            yield server.faults, {"api_key": server.key, "base_url": server.base_url}
        return
    faults = Faults()
    embedded = EmbeddedServer(file, faults=faults)
    transport = embedded.async_transport() if awaited else embedded.transport()
    yield (
        faults,
        {"api_key": embedded.key, "base_url": embedded.base_url, "transport": transport},
    )
    embedded.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "evals.db"


@pytest.fixture
def run(file: Path) -> tuple[EvaluationRun, str]:
    with Evrun.local(file) as plain:
        return running(plain)


@pytest.fixture(autouse=True)
def _waits_that_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evrun._client.Clock", FakeClock)


def planned(faults: Faults, schedule: list[Fault | None]) -> None:
    """Let the first logs meet these, one after the other, and those after them nothing."""
    faults.plan(
        *(
            Rule(fault, operation="Evaluations_log", nth=number)
            for number, fault in enumerate(schedule, 1)
            if fault is not None
        )
    )


@given(
    schedules=st.lists(
        st.lists(st.sampled_from([None, *FAULTS]), max_size=6), min_size=1, max_size=3
    ),
    wire=st.sampled_from(["socket", "embedded"]),
    awaited=st.booleans(),
)
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_at_most_one_log_exists_for_each_call(
    file: Path,
    run: tuple[EvaluationRun, str],
    schedules: list[list[Fault | None]],
    wire: Wire,
    *,
    awaited: bool,
) -> None:
    """And exactly the one that was returned; none at all, if the error says that nothing was done.

    One call after the other, each under a schedule of its own.
    """
    logged, before = (awaited_log if awaited else log), outputs(file)
    outcomes = {}
    with serving(wire, file, awaited=awaited) as (faults, client):
        for number, schedule in enumerate(schedules):
            output = f"{len(before)}-{number}"
            outcomes[output] = logged(faults, client, run, schedule, output)
    stored = outputs(file)
    for output, outcome in outcomes.items():
        ids = stored.get(output, [])
        if isinstance(outcome, str):
            assert ids == [outcome]
        elif isinstance(outcome, UnknownOutcomeError):
            assert len(ids) <= 1
        else:
            assert ids == []
    assert stored.keys() <= before.keys() | outcomes.keys()


@pytest.mark.parametrize("wire", ["socket", "embedded"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_log_that_meets_a_fault_is_kept_once(
    file: Path, run: tuple[EvaluationRun, str], fault: Fault, wire: Wire
) -> None:
    """Whichever it is, and twice in a row: the call succeeds, and its log is the only one."""
    with serving(wire, file) as (faults, client):
        outcome = log(faults, client, run, [fault, fault], "x")
        assert faults.happened
    assert outputs(file) == {"x": [outcome]}


def log(
    faults: Faults,
    client: Any,
    run: tuple[EvaluationRun, str],
    schedule: list[Fault | None],
    output: str,
) -> str | errors.RequestError:
    """Return the new log's id, or the error. The client has heard the announcement before."""
    evaluation, datapoint_id = run
    with Evrun(**client, timeout=PATIENCE) as evrun:
        faults.clear()
        evrun.evaluations.get(evaluation.id)
        planned(faults, schedule)
        try:
            return evrun.evaluations.log(
                evaluation.id, datapoint_id=datapoint_id, log={"output": output}
            ).id
        except errors.RequestError as error:
            return error


def awaited_log(
    faults: Faults,
    client: Any,
    run: tuple[EvaluationRun, str],
    schedule: list[Fault | None],
    output: str,
) -> str | errors.RequestError:
    """Like `log`, awaited."""
    evaluation, datapoint_id = run

    async def perform() -> str | errors.RequestError:
        async with AsyncEvrun(**client, timeout=PATIENCE) as evrun:
            faults.clear()
            await evrun.evaluations.get(evaluation.id)
            planned(faults, schedule)
            try:
                new = await evrun.evaluations.log(
                    evaluation.id, datapoint_id=datapoint_id, log={"output": output}
                )
            except errors.RequestError as error:
                return error
            return new.id

    return asyncio.run(perform())


def outputs(file: Path) -> dict[str | None, list[str]]:
    """Return the ids of all logs, by output."""
    with Evrun.local(file) as client:
        (project,) = client.projects.list().records
        found: dict[str | None, list[str]] = {}
        for each in client.logs.iter_all(project.id):
            found.setdefault(each.output, []).append(each.id)
        return found


def test_a_call_that_was_given_up_can_be_made_again_later(
    file: Path, run: tuple[EvaluationRun, str]
) -> None:
    """With the key of the error: the work is done once, whatever the first attempts did."""
    evaluation, datapoint_id = run
    with serving("embedded", file) as (faults, settings), Evrun(**settings) as client:
        client.evaluations.get(evaluation.id)
        planned(faults, [Drop("after")] * 4)
        body = {"output": "x"}
        with pytest.raises(UnknownOutcomeError) as caught:
            client.evaluations.log(evaluation.id, datapoint_id=datapoint_id, log=body)
        key = caught.value.idempotency_key
        assert key is not None
        again = client.with_options(extra_headers={"Idempotency-Key": key})
        new = again.evaluations.log(evaluation.id, datapoint_id=datapoint_id, log=body)
    assert outputs(file) == {"x": [new.id]}


@pytest.mark.parametrize("wire", ["socket", "embedded"])
def test_the_faults_do_harm(file: Path, run: tuple[EvaluationRun, str], wire: Wire) -> None:
    """Without keys the same faults make doubles: the property above can fail."""
    evaluation, datapoint_id = run
    with serving(wire, file) as (faults, settings):
        key, base_url = settings.pop("api_key"), settings.pop("base_url")
        planned(faults, [Duplicate()])
        with httpx.Client(headers={"X-API-KEY": key}, **settings) as http:
            body = {"datapoint_id": datapoint_id, "log": {"output": "x"}}
            http.post(f"{base_url}/evaluations/{evaluation.id}/log", json=body)
    assert len(outputs(file)["x"]) == 2
