"""Exactly once: our client and our server under any schedule of faults between them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _support.running_run import running
from evrun import AsyncEvrun, Evrun, UnknownOutcomeError, errors
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.testing import no_waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evrun import LoggedItems
    from evrun.results import EvaluationRun

FAULTS = (
    "none",
    "refused",  # nothing is sent
    "declined",  # 503 with a time, from something in front of the server
    "lost",  # done, and the answer is lost
    "failed",  # done, and something in between answers 502
    "cut",  # done, and the answer breaks off
    "late",  # the client gives up waiting, and the request arrives meanwhile
    "twice",  # the network delivers it two times
    "swallowed",  # no answer, and it never arrived
)


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """What lies between a client and the server; one fault for each request, then none."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.faults: list[str] = []
        self._server = server.transport()
        self._late: list[threading.Thread] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Do to a request what the schedule says."""
        request.read()
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "refused":
            raise httpx.ConnectError("refused")
        if fault == "declined":
            return httpx.Response(503, headers={"Retry-After": "1"})
        if fault == "swallowed":
            raise httpx.ReadTimeout("slow")
        if fault == "late":
            thread = threading.Thread(target=self._server.handle_request, args=(request,))
            thread.start()
            self._late.append(thread)
            raise httpx.ReadTimeout("slow")
        response = self._server.handle_request(request)
        if fault == "twice":
            response = self._server.handle_request(request)
        if fault == "failed":
            return httpx.Response(502, text="<h1>Bad gateway</h1>")
        if fault in {"lost", "cut"}:
            raise httpx.ReadError("reset") if fault == "lost" else httpx.RemoteProtocolError("cut")
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Like `handle_request`."""
        await request.aread()
        answer = await asyncio.to_thread(self.handle_request, request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def settle(self) -> None:
        """Wait until everything that was sent has arrived."""
        while self._late:
            self._late.pop().join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    embedded = EmbeddedServer(tmp_path / "evals.db")
    yield embedded
    embedded.close()


@pytest.fixture
def run(server: EmbeddedServer) -> tuple[EvaluationRun, str]:
    with Evrun(api_key=server.key, base_url=server.base_url, transport=server.transport()) as plain:
        return running(plain)


@given(
    schedules=st.lists(st.lists(st.sampled_from(FAULTS), max_size=6), min_size=1, max_size=4),
    awaited=st.booleans(),
)
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_at_most_one_log_exists_for_each_call(
    server: EmbeddedServer,
    run: tuple[EvaluationRun, str],
    schedules: list[list[str]],
    *,
    awaited: bool,
) -> None:
    """And exactly the one that was returned; none at all, if the error says that nothing was done.

    One call after the other, each under a schedule of its own.
    """
    wire = Wire(server)
    with no_waits():
        plain = Evrun(api_key=server.key, base_url=server.base_url, transport=server.transport())
        evaluation, datapoint_id = run
        logged, before = (awaited_log if awaited else log), outputs(plain)
        for number, faults in enumerate(schedules):
            output = f"{len(before)}-{number}"
            wire.faults = list(faults)
            outcome = logged(server, wire, evaluation.id, datapoint_id, output)
            wire.settle()
            ids = outputs(plain).get(output, [])
            if isinstance(outcome, str):
                assert ids == [outcome], faults
            elif isinstance(outcome, UnknownOutcomeError):
                assert len(ids) <= 1, faults
            else:
                assert ids == [], faults
        plain.close()


def log(
    server: EmbeddedServer, wire: Wire, run_id: str, datapoint_id: str, output: str
) -> str | errors.RequestError:
    """Return the new log's id, or the error. The client has heard the announcement before."""
    with Evrun(api_key=server.key, base_url=server.base_url, transport=wire) as client:
        faults, wire.faults = wire.faults, []
        client.evaluations.get(run_id)
        wire.faults = faults
        try:
            return client.evaluations.log(
                run_id, datapoint_id=datapoint_id, log={"output": output}
            ).id
        except errors.RequestError as error:
            return error


def awaited_log(
    server: EmbeddedServer, wire: Wire, run_id: str, datapoint_id: str, output: str
) -> str | errors.RequestError:
    """Like `log`, awaited."""

    async def perform() -> str | errors.RequestError:
        async with AsyncEvrun(
            api_key=server.key, base_url=server.base_url, transport=wire
        ) as client:
            faults, wire.faults = wire.faults, []
            await client.evaluations.get(run_id)
            wire.faults = faults
            try:
                new = await client.evaluations.log(
                    run_id, datapoint_id=datapoint_id, log={"output": output}
                )
            except errors.RequestError as error:
                return error
            return new.id

    return asyncio.run(perform())


@given(
    schedules=st.lists(st.sampled_from(FAULTS), max_size=14),
    batch_size=st.integers(1, 6),
    awaited=st.booleans(),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_many_logs_are_stored_once_each(
    server: EmbeddedServer,
    run: tuple[EvaluationRun, str],
    schedules: list[str],
    batch_size: int,
    *,
    awaited: bool,
) -> None:
    """In batches, under any faults: what is said to be stored is, and nothing is stored twice.

    Handing over what failed once more stores exactly what was missing.
    """
    wire = Wire(server)
    with no_waits():
        plain = Evrun(api_key=server.key, base_url=server.base_url, transport=server.transport())
        evaluation, datapoint_id = run
        first = len(outputs(plain))
        names = [f"many-{first + n}" for n in range(9)]
        items = [{"datapoint_id": datapoint_id, "log": {"output": name}} for name in names]
        client = Evrun(api_key=server.key, base_url=server.base_url, transport=wire)
        sending = AsyncEvrun(api_key=server.key, base_url=server.base_url, transport=wire)
        wire.faults = []

        def healthy() -> Iterator[Any]:
            wire.faults = list(schedules)  # the run has been asked for
            yield from items

        async def send() -> LoggedItems:
            async with sending:
                many = sending.run(evaluation.id)
                return await many.log_many(healthy(), batch_size=batch_size, raise_on_error=False)

        if awaited:
            logged = asyncio.run(send())
        else:
            logged = client.run(evaluation.id).log_many(
                healthy(), batch_size=batch_size, raise_on_error=False
            )
        wire.settle()
        stored = outputs(plain)
        for name, each in zip(names, logged, strict=True):
            ids = stored.get(name, [])
            if each.log is not None:
                assert ids == [each.log.id]
            elif isinstance(each.error, UnknownOutcomeError):
                assert len(ids) <= 1
            else:
                assert ids == []
        wire.faults = []
        client.run(evaluation.id).log_many(logged.again, batch_size=batch_size)
        stored = outputs(plain)
        assert [len(stored[name]) for name in names] == [1] * len(names)
        client.close()
        plain.close()


def outputs(client: Evrun) -> dict[str | None, list[str]]:
    """Return the ids of all logs, by output."""
    (project,) = client.projects.list().records
    found: dict[str | None, list[str]] = {}
    for each in client.logs.iter_all(project.id):
        found.setdefault(each.output, []).append(each.id)
    return found


def test_a_call_that_was_given_up_can_be_made_again_later(server: EmbeddedServer) -> None:
    """With the key of the error: the work is done once, whatever the first attempts did."""
    wire = Wire(server)
    with (
        no_waits(),
        Evrun(api_key=server.key, base_url=server.base_url, transport=wire) as client,
    ):
        run, datapoint_id = running(client)
        wire.faults = ["lost"] * 4
        with pytest.raises(UnknownOutcomeError) as caught:
            client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "x"})
        key = caught.value.idempotency_key
        assert key is not None
        again = client.with_options(extra_headers={"Idempotency-Key": key})
        new = again.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "x"})
        assert outputs(client) == {"x": [new.id]}


def test_the_wire_does_harm(server: EmbeddedServer) -> None:
    """Without keys the same faults make doubles: the property above can fail."""
    wire = Wire(server)
    with Evrun(api_key=server.key, base_url=server.base_url, transport=server.transport()) as plain:
        run, datapoint_id = running(plain)
        with httpx.Client(transport=wire, headers={"X-API-KEY": server.key}) as http:
            wire.faults = ["twice"]
            body = {"datapoint_id": datapoint_id, "log": {"output": "x"}}
            http.post(f"{server.base_url}/evaluations/{run.id}/log", json=body)
        assert len(outputs(plain)["x"]) == 2
