"""What others have built for httpx keeps working with our clients: tracing, mocks, trio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
import trio
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from _support.fake_api import BASE_URL, KEY
from _support.fake_many_logs import RUN
from _support.loopback_server import LOGGED, PAGE, Answer, Loopback, Seen, running
from _support.sync_and_async import ask, log
from evrun import AsyncEvrun, ConnectError, Evrun, LogItem, RateLimitedError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_httpx import HTTPXMock

    from _support.sync_and_async import Kind


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name: Kind = request.param
    return name


class BusyTwice:
    """Declines two requests and takes the rest."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, seen: Seen) -> Answer:
        self.count += 1
        if self.count <= 2:
            return Answer(status=429, headers=(("retry-after-ms", "1"),))
        return Answer(status=201, body=LOGGED) if seen.method == "POST" else Answer(body=PAGE)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback(BusyTwice())) as server:
        yield server


# OpenTelemetry, through its own instrumentation of httpx: we do nothing for it.


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("deadline", [None, 30.0])
def test_every_attempt_is_a_span(
    kind: Kind,
    server: Loopback,
    provider: TracerProvider,
    spans: InMemorySpanExporter,
    deadline: float | None,
) -> None:
    """A call that was tried three times is three spans below its caller's, each with its status."""
    with provider.get_tracer("tests").start_as_current_span("evaluate"):
        log(kind, server.base_url, deadline=deadline)
    *attempts, caller = spans.get_finished_spans()
    assert caller.context is not None
    assert [span.name for span in attempts] == ["POST"] * 3
    statuses = [(span.attributes or {}).get("http.status_code") for span in attempts]
    assert statuses == [429, 429, 201]
    assert {span.parent and span.parent.span_id for span in attempts} == {caller.context.span_id}
    assert all(KEY not in span.to_json() for span in attempts)


@pytest.mark.usefixtures("instrumented")
def test_the_server_is_told_the_trace(
    kind: Kind, server: Loopback, spans: InMemorySpanExporter
) -> None:
    """`traceparent` (W3C Trace Context) reaches the server, with the span of each attempt."""
    log(kind, server.base_url)
    contexts = [span.context for span in spans.get_finished_spans() if span.context]
    assert [seen.headers["traceparent"] for seen in server.seen] == [
        f"00-{each.trace_id:032x}-{each.span_id:016x}-{each.trace_flags:02x}" for each in contexts
    ]


class ManySingle:
    """Answers for a run, and takes single logs."""

    def __call__(self, seen: Seen) -> Answer:
        return Answer(status=201, body=LOGGED) if seen.method == "POST" else Answer(body=RUN)


@pytest.mark.usefixtures("instrumented")
def test_many_logs_are_spans_below_their_caller(
    kind: Kind, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    """Whatever threads and tasks they are sent from."""
    many: list[LogItem] = [{"datapoint_id": f"row-{n}", "log": {}} for n in range(20)]
    with (
        running(Loopback(ManySingle())) as server,
        provider.get_tracer("tests").start_as_current_span("evaluate"),
    ):
        settings: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url}
        if kind == "sync":
            with Evrun(**settings) as client:
                client.run("evrun_1").log_many(many)
        else:

            async def awaited() -> None:
                async with AsyncEvrun(**settings) as client:
                    await client.run("evrun_1").log_many(many)

            asyncio.run(awaited())
    *attempts, caller = spans.get_finished_spans()
    assert caller.context is not None
    assert [span.name for span in attempts].count("POST") == 20
    assert {span.parent and span.parent.span_id for span in attempts} == {caller.context.span_id}


def test_a_client_of_ones_own_can_be_traced_alone(
    server: Loopback, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    """`instrument_client` works on an `http_client` that is passed to us."""
    with httpx.Client() as http_client:
        HTTPXClientInstrumentor.instrument_client(http_client, tracer_provider=provider)
        log("sync", server.base_url, http_client=http_client)
    assert len(spans.get_finished_spans()) == 3


# respx.


@respx.mock
def test_respx_answers_our_clients(kind: Kind) -> None:
    """Routes by method, host and path match; retries and errors are ours."""
    route = respx.post(f"{BASE_URL}/evaluations/evrun_1/log").mock(
        side_effect=[
            httpx.Response(429, headers={"retry-after-ms": "1"}),
            httpx.Response(201, json=LOGGED),
        ]
    )
    assert log(kind, BASE_URL).id == LOGGED["id"]
    assert [call.request.headers["X-API-KEY"] for call in route.calls] == [KEY, KEY]


@respx.mock
def test_respx_breaks_connections(kind: Kind) -> None:
    """Its side effects are httpx's errors, and come out under our names."""
    respx.get(url__startswith=f"{BASE_URL}/projects").mock(side_effect=httpx.ConnectError)
    with pytest.raises(ConnectError, match="Nothing was sent"):
        ask(kind, BASE_URL, max_retries=0)


def test_respx_has_a_transport_for_us() -> None:
    """A router of its own goes in as `transport=`."""
    router = respx.Router()
    router.get(path="/v4/projects").respond(json=PAGE)
    assert ask("sync", BASE_URL, transport=httpx.MockTransport(router.handler)) == 0
    assert ask("async", BASE_URL, transport=httpx.MockTransport(router.async_handler)) == 0


# pytest-httpx.


def test_pytest_httpx_answers_our_clients(kind: Kind, httpx_mock: HTTPXMock) -> None:
    """The fixture gives its answers in turn, and sees our requests."""
    httpx_mock.add_response(status_code=429, headers={"retry-after-ms": "1"})
    httpx_mock.add_response(status_code=201, json=LOGGED)
    assert log(kind, BASE_URL).id == LOGGED["id"]
    first, second = httpx_mock.get_requests()
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert str(first.url) == f"{BASE_URL}/evaluations/evrun_1/log"


def test_pytest_httpx_raises_through_our_clients(kind: Kind, httpx_mock: HTTPXMock) -> None:
    """Its exceptions are outcomes of an attempt, and its refusals typed errors."""
    httpx_mock.add_exception(httpx.ReadTimeout("slow"))
    with pytest.raises(RequestTimeoutError, match="It is safe to ask again"):
        ask(kind, BASE_URL, max_retries=0)
    httpx_mock.add_response(status_code=429, json={"detail": "Slowly"})
    with pytest.raises(RateLimitedError, match="Slowly"):
        ask(kind, BASE_URL, max_retries=0)


# trio.


def test_an_async_client_runs_on_trio(server: Loopback) -> None:
    """Retries, deadlines and successive loops work without asyncio, as they do with it."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)
    totals: list[Any] = []

    async def ask_in(view: AsyncEvrun) -> None:
        totals.append((await view.projects.list()).total)

    async def main() -> None:
        await ask_in(client)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask_in, client)
        await ask_in(client.with_options(deadline=20))

    trio.run(main)
    trio.run(main)
    trio.run(client.aclose)
    assert totals == [0] * 24
    assert client._pool._clients == {}
    assert len(server.seen) == 26


def test_trio_ends_a_dripping_answer_too() -> None:
    """A deadline cancels the attempt on trio as on asyncio."""
    slow = Answer(body=PAGE, drip=0.1)

    async def main(base_url: str) -> None:
        async with AsyncEvrun(api_key=KEY, base_url=base_url, deadline=0.3) as client:
            with pytest.raises(RequestTimeoutError, match="the deadline of 0.3 s"):
                await client.projects.list()

    with running(Loopback(lambda _: slow)) as server:
        trio.run(main, server.base_url)


def test_a_mock_transport_is_all_that_a_test_needs() -> None:
    """Httpx's own `MockTransport` goes in as it is."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=PAGE))
    with Evrun(api_key=KEY, base_url=BASE_URL, transport=transport) as client:
        assert client.projects.list().total == 0
