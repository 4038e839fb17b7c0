from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fake_api import BASE_URL, KEY
from fake_clock import FakeClock
from test_every_operation import shown

from evrun import (
    AsyncEvrun,
    AuthenticationError,
    ConflictError,
    ContentTooLargeError,
    DecodeError,
    Evrun,
    InvalidIdError,
    InvalidRequestError,
    LoggedItem,
    LoggedItems,
    LogsFailedError,
    NotFoundError,
    UnknownOutcomeError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

RUN = shown("Evaluations_get", None)


class Server:
    """A server of many logs, or of single ones only, that remembers keys as ours does."""

    def __init__(self, batch: int = 1000) -> None:
        self.batch = batch
        self.limit = 10**9
        """Bytes of a body."""
        self.gets: list[httpx.Request] = []
        self.posts: list[httpx.Request] = []
        self.stored: dict[str, Any] = {}
        """Bodies by key, in the order in which they came."""
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.after: Callable[[httpx.Response], httpx.Response] = lambda response: response
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        capabilities = "idempotency=86400" + (f", batch={self.batch}" if self.batch else "")
        headers = {"Evrun-Capabilities": capabilities, "X-Request-ID": "r1"}
        if request.method == "GET":
            self.gets.append(request)
            return self.before(request) or httpx.Response(200, json=RUN, headers=headers)
        with self._lock:
            self.posts.append(request)
            answer = self.before(request) or self._answer(request)
            answer.headers.update(headers)
            return self.after(answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = read(request)
        if len(json.dumps(body)) > self.limit:
            return httpx.Response(413, json={"detail": "Too large."})
        if request.url.path.endswith("/log"):
            key = request.headers["Idempotency-Key"]
            status, said = self._store(key, {**body, **dict(request.url.params)})
            return httpx.Response(status, json=said)
        if not self.batch:
            return httpx.Response(404, json={"detail": "There is nothing here."})
        results = []
        for item in body["logs"]:
            status, said = self._store(item.pop("idempotency_key"), item)
            good = {"status": 201, "log": said, "replayed": False}
            results.append(good if status == 201 else {"status": status, **said})
        return httpx.Response(200, json={"results": results})

    def _store(self, key: str, body: Any) -> tuple[int, Any]:
        if body["datapoint_id"] == "bad":
            detail = {"loc": ["body", "datapoint_id"], "msg": "No such row.", "type": "x"}
            return 422, {"detail": [detail]}
        if body["datapoint_id"] == "taken":
            return 409, {"detail": "It is taken."}
        assert self.stored.setdefault(key, body) == body
        number = list(self.stored).index(key)
        return 201, {"id": f"data_{number}", "project_id": "pr_1"}

    @property
    def outputs(self) -> list[str]:
        """What is stored, in the order in which it came."""
        return [body["log"]["output"] for body in self.stored.values()]


def read(request: httpx.Request) -> Any:
    content = request.content
    encoded = request.headers.get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(content) if encoded else content)


def items(number: int, **log: Any) -> list[dict[str, Any]]:
    return [{"datapoint_id": f"row-{n}", "log": {"output": str(n), **log}} for n in range(number)]


@pytest.fixture(params=["sync", "async"])
def log_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return `log_many` of a new client, sync or async; waits pass at once."""
    monkeypatch.setattr("evrun._client.Clock", FakeClock)

    def call(server: Server, many: Iterable[Any], **options: Any) -> LoggedItems:
        transport = httpx.MockTransport(server)
        if request.param == "sync":
            with Evrun(
                api_key=KEY, base_url=BASE_URL, http_client=httpx.Client(transport=transport)
            ) as client:
                return client.evaluations.log_many("evrun_1", many, **options)

        async def awaited() -> LoggedItems:
            http = httpx.AsyncClient(transport=transport)
            async with AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
                return await client.run("evrun_1").log_many(many, **options)

        return asyncio.run(awaited())

    return call


BOTH = pytest.mark.parametrize("batch", [1000, 7, 0])


@BOTH
def test_every_log_arrives_once_and_is_answered_in_order(log_many: Any, batch: int) -> None:
    """In batches as large as the server takes, or one by one; the source may be a generator."""
    server = Server(batch)
    logged = log_many(server, (each for each in items(50)), concurrency=3)
    assert sorted(server.outputs, key=int) == [str(n) for n in range(50)]
    assert [each.index for each in logged] == list(range(50))
    assert logged.failed == logged.again == ()
    numbers = [int(each.result().id.removeprefix("data_")) for each in logged]
    assert [server.outputs[number] for number in numbers] == [str(n) for n in range(50)]
    assert len(server.posts) == (-(-50 // batch) if batch else 50)
    assert (len(server.gets), logged.raise_on_error()) == (1, logged)
    assert (len(logged), logged[3].log) == (50, logged.logs[3])


@BOTH
def test_a_failed_item_harms_no_other(log_many: Any, batch: int) -> None:
    """The server's refusals and our own stand at their places, as the errors of single calls."""
    many = items(8)
    many[1]["datapoint_id"] = "bad"
    many[2]["log"] = {"outptu": "x"}
    many[3]["datapoint_id"] = "no/id"
    many[4] = "no mapping"  # type: ignore[call-overload]
    many[5]["datapoint_id"] = "taken"
    many[6]["log"] = {"output": "\ud800"}
    server = Server(batch)
    logged = log_many(server, many)
    kinds = [type(each.error) for each in logged]
    assert kinds == [
        type(None),
        UnprocessableEntityError,
        InvalidRequestError,
        InvalidIdError,
        InvalidRequestError,
        ConflictError,
        InvalidRequestError,
        type(None),
    ]
    assert sorted(server.outputs) == ["0", "7"]
    assert [str(logged[n].error).partition(":")[0] for n in (2, 3, 4, 6)] == [
        *("items[2].log", "items[3].datapoint_id", "items[4]", "items[6].log.output"),
    ]
    refused = logged[1].error
    assert refused.fields[0].loc == ("body", "datapoint_id")
    assert refused.request_id == "r1"
    assert pickle.loads(pickle.dumps(refused)).args == refused.args  # noqa: S301 - our own
    with pytest.raises(ConflictError, match="It is taken"):
        logged[5].result()


def test_the_error_of_one_of_many_shows_that_one() -> None:
    """Its body, its key and a command that sends it alone."""
    server = Server()
    http = httpx.Client(transport=httpx.MockTransport(server))
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
        many = [*items(30, stdout="x" * 99), {"datapoint_id": "bad", "log": {}}]
        (failed,) = client.run("evrun_1").log_many(many).failed
    error = failed.error
    assert isinstance(error, UnprocessableEntityError)
    assert str(error) == (
        "items[30]: POST http://evrun.test/v4/evaluations/evrun_1/logs answered 422: "
        "body.datapoint_id: No such row."
    )
    assert json.loads(error.request.body) == {"logs": [failed.again]}
    assert failed.again is not None
    assert error.idempotency_key == failed.again["idempotency_key"]
    assert "gzip" not in error.as_curl()
    assert server.posts[0].headers["Content-Encoding"] == "gzip"
    assert len(server.posts[0].content) < 3000


def test_raise_on_error_says_what_to_do(log_many: Any) -> None:
    """How many, which was the first, and what to hand over again."""
    server = Server()
    logged = log_many(server, [*items(2), {"datapoint_id": "bad", "log": {}}])
    with pytest.raises(LogsFailedError, match=r"^1 of 3 logs failed.*first, at 2: items\[2\]") as e:
        logged.raise_on_error()
    assert e.value.again == logged.again
    assert e.value.errors == ((2, logged[2].error),)
    copied = pickle.loads(pickle.dumps(e.value))  # noqa: S301 - our own
    assert str(copied.errors[0][1]) == str(logged[2].error)


@BOTH
def test_a_lost_answer_is_asked_for_again_under_the_same_keys(log_many: Any, batch: int) -> None:
    """The work was done: it is not done twice, and nothing is missing."""
    server = Server(batch)
    lost = iter([True, False, True, True])

    def lose(response: httpx.Response) -> httpx.Response:
        if next(lost, False):
            raise httpx.ReadError("reset")
        return response

    server.after = lose
    logged = log_many(server, items(20), concurrency=1, batch_size=10)
    assert sorted(server.outputs, key=int) == [str(n) for n in range(20)]
    assert logged.raise_on_error()


@BOTH
def test_what_stays_unknown_can_be_handed_over_again(log_many: Any, batch: int) -> None:
    """Under the keys that it had, also if the server takes logs another way by then."""
    server = Server(batch)

    def lose(response: httpx.Response) -> httpx.Response:
        raise httpx.ReadError("reset")

    server.after = lose
    logged = log_many(server, items(5))
    assert all(isinstance(each.error, UnknownOutcomeError) for each in logged)
    server.after = lambda response: response
    server.batch = 0 if batch else 1000
    again = log_many(server, logged.again)
    assert len(again.raise_on_error()) == 5
    assert sorted(server.outputs) == list("01234")


def test_what_is_too_large_is_sent_in_parts(log_many: Any) -> None:
    """Also where a limit is lower than ours; what is too large alone is an error of its own."""
    server = Server()
    server.limit = 2000
    many = items(20, stdout="x" * 300)
    many[7]["log"]["stdout"] = "x" * 3000
    logged = log_many(server, many)
    assert [each.index for each in logged.failed] == [7]
    assert isinstance(logged[7].error, ContentTooLargeError)
    assert server.outputs == [str(n) for n in range(20) if n != 7]


def test_a_server_that_takes_batches_no_more_gets_single_calls(log_many: Any) -> None:
    """Another one may have taken its place, behind the same address."""
    server = Server()

    def older(request: httpx.Request) -> httpx.Response | None:
        server.batch = 0
        if request.url.path.endswith("/logs"):
            return httpx.Response(404, json={"detail": "There is nothing here."})
        return None

    def first(request: httpx.Request) -> None:
        server.before = older

    server.before = first
    logged = log_many(server, items(6), batch_size=4)
    assert logged.raise_on_error()
    assert [request.url.path[-5:] for request in server.posts] == ["/logs", *["1/log"] * 6]


def test_logs_for_one_datapoint_arrive_in_order(log_many: Any) -> None:
    """The later one counts, also where several calls are made at a time."""
    server = Server(0)
    many = [{"datapoint_id": f"row-{n % 3}", "log": {"output": str(n)}} for n in range(30)]
    log_many(server, many, concurrency=8)
    for row in range(3):
        mine = [int(output) for output in server.outputs if int(output) % 3 == row]
        assert mine == sorted(mine)


@pytest.mark.parametrize("change", [{"results": []}, {"results": [{"status": 201}] * 2}, {"x": 1}])
def test_an_answer_that_is_none_is_an_error_of_each(log_many: Any, change: Any) -> None:
    """No log passes for stored without its id."""
    server = Server()
    server.before = lambda request: (
        httpx.Response(200, json=change) if request.method == "POST" else None
    )
    logged = log_many(server, items(2))
    assert [type(each.error) for each in logged] == [DecodeError] * 2
    assert len(logged.again) == 2


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (404, NotFoundError)])
def test_nothing_is_taken_for_a_run_that_is_not_there(
    log_many: Any, status: int, error: type[Exception]
) -> None:
    """Nor under a wrong key: outputs may be dear."""
    server = Server()
    server.before = lambda _: httpx.Response(status, json={"detail": "No."})
    source = iter(items(3))
    with pytest.raises(error):
        log_many(server, source)
    assert len(list(source)) == 3
    assert server.posts == []


@BOTH
def test_what_a_source_raises_comes_after_what_it_gave(log_many: Any, batch: int) -> None:
    """What was made before is not lost."""

    def source() -> Iterator[Any]:
        yield from items(3)
        raise RuntimeError("the model is gone")

    server = Server(batch)
    with pytest.raises(RuntimeError, match="the model is gone"):
        log_many(server, source())
    assert sorted(server.outputs) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"many": {"datapoint_id": "1"}}, "^items: got dict, expected an iterable"),
        ({"many": "text"}, "^items: got str"),
        ({"many": 7}, "^items: got int"),
        ({"concurrency": 0}, "^concurrency=0 is no"),
        ({"batch_size": True}, "^batch_size=True is no"),
        ({"batch_size": 0}, "^batch_size=0 is no"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    log_many: Any, arguments: dict[str, Any], match: str
) -> None:
    """Before anything is sent."""
    server = Server()
    with pytest.raises(InvalidRequestError, match=match):
        log_many(server, **{"many": [], **arguments})
    assert server.gets == []


def test_no_items_are_no_logs(log_many: Any) -> None:
    """And no error."""
    server = Server()
    assert len(log_many(server, [])) == 0
    assert server.posts == []


def test_a_stream_is_logged_as_it_comes() -> None:
    """One batch is in memory at a time, and each result is there before the next is taken."""
    server, taken = Server(), []

    def source() -> Iterator[Any]:
        for each in items(100):
            taken.append(each)
            yield each

    http = httpx.Client(transport=httpx.MockTransport(server))
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
        stream = client.run("evrun_1").iter_log_many(source(), batch_size=10)
        assert taken == []
        assert next(stream).index == 0
        assert len(taken) == len(server.outputs) == 10
        assert sum(1 for _ in stream) == 99


def test_an_asynchronous_source_is_awaited() -> None:
    """Also what it raises comes after what it gave."""

    async def source() -> AsyncIterator[Any]:
        for each in items(5):
            await asyncio.sleep(0)
            yield each
        raise RuntimeError("gone")

    seen: list[LoggedItem] = []

    async def main(server: Server) -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(server))
        async with AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
            async for each in client.run("evrun_1").iter_log_many(source(), batch_size=2):
                seen.append(each)  # noqa: PERF401 - it is raised in between

    server = Server()
    with pytest.raises(RuntimeError, match="gone"):
        asyncio.run(main(server))
    assert [each.index for each in seen] == [0, 1, 2, 3, 4]
    assert server.outputs == list("01234")
