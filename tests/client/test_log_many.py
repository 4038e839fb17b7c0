from __future__ import annotations

import asyncio
import itertools
import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support.fake_api import BASE_URL, KEY
from _support.fake_many_logs import Server, items, read
from evrun import (
    AsyncEvrun,
    AuthenticationError,
    ConflictError,
    ContentTooLargeError,
    DecodeError,
    Evrun,
    InvalidIdError,
    InvalidItemError,
    InvalidRequestError,
    LoggedItem,
    LoggedItems,
    LogsFailedError,
    LogsStoppedError,
    NotFoundError,
    PermissionDeniedError,
    UnknownOutcomeError,
    UnprocessableEntityError,
)
from evrun._bulk.plan import _wrong_fields
from evrun_api.models import EvaluationLogItem, LogRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture(params=["sync", "async"])
def log_many(request: pytest.FixtureRequest, slept: list[float]) -> Any:
    """Return `log_many` of a new client, sync or async; waits pass at once."""

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


@pytest.fixture(params=["sync", "async"])
def iterated(request: pytest.FixtureRequest, slept: list[float]) -> Any:
    """Return what runs through `iter_log_many` of a new client and keeps what it yields."""

    def call(server: Server, many: Iterable[Any], seen: list[LoggedItem]) -> None:
        transport = httpx.MockTransport(server)
        if request.param == "sync":
            http = httpx.Client(transport=transport)
            with Evrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
                for each in client.run("evrun_1").iter_log_many(many):
                    seen.append(each)  # noqa: PERF402 - it is raised in between
            return

        async def awaited() -> None:
            http = httpx.AsyncClient(transport=transport)
            async with AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http) as client:
                async for each in client.run("evrun_1").iter_log_many(many):
                    seen.append(each)  # noqa: PERF401 - as above

        asyncio.run(awaited())

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
    assert len(server.gets) == 1
    assert (len(logged), logged[3].log) == (50, logged.logs[3])


@BOTH
def test_a_failed_item_harms_no_other(log_many: Any, batch: int) -> None:
    """The server's refusals and our own stand at their places, as the errors of single calls."""
    many = items(8)
    many[1]["datapoint_id"] = "bad"
    many[2]["log"] = {"output": 7j}
    many[3]["datapoint_id"] = "no/id"
    many[4]["log"] = None
    many[5]["datapoint_id"] = "taken"
    many[6]["log"] = {"output": "\ud800"}
    server = Server(batch)
    logged = log_many(server, many, raise_on_error=False)
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
        *("items[2].log.output", "items[3].datapoint_id", "items[4].log", "items[6].log.output"),
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
        (failed,) = client.run("evrun_1").log_many(many, raise_on_error=False).failed
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


def test_failures_are_raised_with_all_that_is_known(log_many: Any) -> None:
    """How many, which was the first, what to hand over again, and what became of each."""
    server = Server()
    many = [*items(2), {"datapoint_id": "bad", "log": {}}]
    with pytest.raises(
        LogsFailedError, match=r"^1 of 3 logs failed, 2 are stored.*first, at 2: items\[2\]"
    ) as caught:
        log_many(server, many)
    logged = caught.value.result
    assert [log.id for log in logged.logs] == ["data_0", "data_1"]
    assert caught.value.again == logged.again
    assert caught.value.errors == ((2, logged[2].error),)
    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert str(copied.errors[0][1]) == str(logged[2].error)
    assert copied.result.logs == logged.logs


def test_a_result_shows_its_failures(log_many: Any) -> None:
    """To whoever does not want them raised: `repr` begins with how many of each there are."""
    server = Server()
    logged = log_many(server, [*items(2), {"datapoint_id": "bad", "log": {}}], raise_on_error=False)
    assert repr(logged).startswith(
        "<LoggedItems: 2 stored, 1 FAILED, the first at 2: UnprocessableEntityError: items[2]: POST"
    )
    with pytest.raises(LogsFailedError):
        logged.raise_on_error()
    assert repr(log_many(server, items(2))) == "<LoggedItems: 2 stored>"


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
    log_many(server, items(20), concurrency=1, batch_size=10)
    assert sorted(server.outputs, key=int) == [str(n) for n in range(20)]


@BOTH
def test_what_stays_unknown_can_be_handed_over_again(log_many: Any, batch: int) -> None:
    """Under the keys that it had, also if the server takes logs another way by then."""
    server = Server(batch)

    def lose(response: httpx.Response) -> httpx.Response:
        raise httpx.ReadError("reset")

    server.after = lose
    logged = log_many(server, items(5), raise_on_error=False)
    assert all(isinstance(each.error, UnknownOutcomeError) for each in logged)
    server.after = lambda response: response
    server.batch = 0 if batch else 1000
    assert len(log_many(server, logged.again)) == 5
    assert sorted(server.outputs) == list("01234")


def test_what_is_too_large_is_sent_in_parts(log_many: Any) -> None:
    """Also where a limit is lower than ours; what is too large alone is an error of its own."""
    server = Server()
    server.limit = 2000
    many = items(20, stdout="x" * 300)
    many[7]["log"]["stdout"] = "x" * 3000
    logged = log_many(server, many, raise_on_error=False)
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
    log_many(server, items(6), batch_size=4)
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
    logged = log_many(server, items(2), raise_on_error=False)
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


@pytest.mark.parametrize(
    ("status", "way"),
    [
        ("pending", r"client\.run\('evrun_\w+'\)\.start\(\) sets it running\.$"),
        ("completed", r"\.start\(\) sets it running\.$"),
        ("cancelled", r"create a new run\.$"),
    ],
)
def test_nothing_is_taken_for_a_run_that_takes_no_logs(
    log_many: Any, status: str, way: str
) -> None:
    """It is said what to do, whether failures are wanted as errors or not."""
    server = Server()
    server.status = status
    source = iter(items(3))
    for raise_on_error in (True, False):
        with pytest.raises(InvalidRequestError, match=rf"is {status}, and only a.*{way}"):
            log_many(server, source, raise_on_error=raise_on_error)
    assert len(list(source)) == 3
    assert server.posts == []


def test_a_status_that_is_not_known_is_left_to_the_server(log_many: Any) -> None:
    """A newer server may have more that take logs: ours would not be asked otherwise."""
    server = Server()

    def new(request: httpx.Request) -> httpx.Response | None:
        server.status = "running"
        return None

    server.status, server.before = "paused", new
    assert len(log_many(server, items(3))) == 3


# What no item can survive.

WRONG: list[tuple[Any, str]] = [
    ({"datapoint_id": "1", "output": "x"}, r"^items\[20\]: unknown field 'output'"),
    ({"datapoint": "1", "log": {}}, r"^items\[20\]: unknown field 'datapoint'"),
    ({"log": {}}, r"^items\[20\]: 'datapoint_id' is required"),
    ({"datapoint_id": "1"}, r"^items\[20\]: 'log' is required"),
    ({"datapoint_id": "1", "log": {"outptu": 1}}, r"^items\[20\]\.log: unknown field 'outptu'"),
    ({"datapoint_id": "1", "log": "x"}, r"^items\[20\]\.log: got 'x' \(str\)"),
    ("1", r"^items\[20\]: got '1' \(str\)"),
    (None, r"^items\[20\]: "),
]


def stopping(server: Server, wrong: object) -> Iterator[Any]:
    """Yield a wrong item among right ones, and fail if another is taken."""
    yield from items(20)
    yield wrong
    raise AssertionError("taken after the wrong one")


@pytest.mark.parametrize(("wrong", "match"), WRONG)
def test_wrong_fields_end_it_at_once(log_many: Any, wrong: Any, match: str) -> None:
    """It is a mistake in the program. What was made is stored, or is on the error."""
    server = Server()
    with pytest.raises(InvalidItemError, match=match) as caught:
        log_many(server, stopping(server, wrong), raise_on_error=False)
    assert server.outputs == [str(n) for n in range(20)]
    assert caught.value.item is wrong
    assert caught.value.result is not None
    assert len(caught.value.result.logs) == 20
    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (copied.item, len(copied.result)) == (wrong, 20)


class Unreadable(dict[str, Any]):
    """A mapping that nobody can look into."""

    def items(self) -> Any:
        raise OSError("gone")


def test_fields_that_cannot_be_read_are_not_wrong() -> None:
    """An item that is odd in itself says nothing of the others: it fails alone."""
    assert not _wrong_fields(Unreadable())


@BOTH
@pytest.mark.parametrize("number", [0, 20])
def test_wrong_fields_end_it_in_every_form(iterated: Any, batch: int, number: int) -> None:
    """One by one too: what was taken before is sent and yielded; nothing if it is the first."""
    server = Server(batch)
    seen: list[LoggedItem] = []
    source = itertools.chain(items(number), [{"datapoint_id": "1", "output": "x"}])
    with pytest.raises(InvalidItemError, match="unknown field 'output'"):
        iterated(server, source, seen)
    assert len(server.stored) == number
    assert [each.index for each in seen if each.log] == list(range(number))
    assert bool(server.posts) == bool(number)


def ended(server: Server, how: str) -> None:
    """Let the run take no more, or the key be good for nothing."""
    server.status = "completed"
    status = {"revoked": 401, "expired": 403, "deleted": 404}.get(how)
    if status is not None:
        server.before = lambda _: httpx.Response(status, json={"detail": f"It is {how}."})


@BOTH
@pytest.mark.parametrize(
    ("how", "match", "cause"),
    [
        ("completed", r"is completed, and only a running run.*\.start\(\)", InvalidRequestError),
        ("revoked", "answered 401: It is revoked", AuthenticationError),
        ("expired", "answered 403: It is expired", PermissionDeniedError),
        ("deleted", "answered 404: It is deleted", NotFoundError),
    ],
)
def test_a_run_that_ends_meanwhile_ends_it(
    log_many: Any, batch: int, how: str, match: str, cause: type[Exception]
) -> None:
    """A generator without end is left alone, and all that it gave is stored or on the error."""
    server = Server(batch)
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        for n in itertools.count():
            if n == 60:
                ended(server, how)
            taken += 1
            yield {"datapoint_id": f"row-{n % 7}", "log": {"output": str(n)}}

    with pytest.raises(LogsStoppedError, match=f"^No more logs were sent.*{match}") as caught:
        log_many(server, endless(), batch_size=20, concurrency=1, raise_on_error=False)
    error = caught.value
    assert 60 <= taken <= 120
    assert len(error.result) == taken
    assert len(error.result.logs) == len(server.stored)
    missing = {str(n) for n in range(taken)} - set(server.outputs)
    assert {each["log"]["output"] for each in error.again} == missing
    assert isinstance(error.__cause__, cause)
    posts = len(server.posts)
    server.status, server.before = "running", lambda _: None
    log_many(server, error.again)
    assert len(server.stored) == taken
    assert len(server.posts) > posts


@BOTH
def test_a_run_that_ends_meanwhile_ends_it_in_every_form(iterated: Any, batch: int) -> None:
    """What became of each is yielded, and then it is raised."""
    server = Server(batch and 20)
    seen: list[LoggedItem] = []

    def endless() -> Iterator[Any]:
        yield from items(10)
        ended(server, "completed")
        for n in itertools.count(10):
            yield {"datapoint_id": f"row-{n}", "log": {}}

    with pytest.raises(LogsStoppedError) as caught:
        iterated(server, endless(), seen)
    assert len(caught.value.result) == 0
    assert [each.index for each in seen] == list(range(len(seen)))
    assert 0 < len(seen) < 400


@BOTH
def test_refusals_of_their_own_end_nothing(log_many: Any, batch: int) -> None:
    """A batch or wave in which each is refused says nothing of the next, if the run takes logs."""
    server = Server(batch)
    many = [{"datapoint_id": "bad", "log": {"output": str(n)}} for n in range(40)]
    logged = log_many(server, [*many, *items(5)], batch_size=10, raise_on_error=False)
    assert [each.index for each in logged.failed] == list(range(40))
    assert sorted(server.outputs) == list("01234")


def test_what_is_not_found_out_ends_nothing(log_many: Any) -> None:
    """The run is asked for when all were refused, and no answer says nothing."""
    server = Server()

    def lost(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" and server.posts:
            raise httpx.ReadError("reset")
        return None

    server.before = lost
    bad = {"datapoint_id": "bad", "log": {}}
    logged = log_many(server, [bad, *items(2)], batch_size=1, raise_on_error=False)
    assert [each.index for each in logged.failed] == [0]


def test_nothing_is_sent_if_nothing_can_be(log_many: Any) -> None:
    """Each item has its own error."""
    server = Server()
    many = [{"datapoint_id": "no/id", "log": {}}] * 3
    logged = log_many(server, many, raise_on_error=False)
    assert [type(each.error) for each in logged] == [InvalidIdError] * 3
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
        ({"concurrency": 0}, "^concurrency=0: expected a whole number"),
        ({"batch_size": True}, "^batch_size=True: expected a whole number"),
        ({"batch_size": 0}, "^batch_size=0: expected a whole number"),
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


@BOTH
def test_what_a_call_raises_comes_after_what_became_of_each(iterated: Any, batch: int) -> None:
    """A closed client or a user's middleware: nothing that was taken goes without an outcome."""
    server = Server(batch and 10)

    def broken(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST" and len(server.stored) >= 10:
            raise LookupError("no budget")
        return None

    server.before = broken
    seen: list[LoggedItem] = []
    taken = 0

    def source() -> Iterator[Any]:
        nonlocal taken
        for each in items(500):
            taken += 1
            yield each

    with pytest.raises(LookupError, match="no budget"):
        iterated(server, source(), seen)
    assert [each.index for each in seen] == list(range(taken))
    assert len([each for each in seen if each.log]) == len(server.stored)
    failed = [each for each in seen if each.log is None]
    assert all(each.again for each in failed)
    said = {str(each.error).partition(":")[0].partition(",")[0] for each in failed}
    assert "The call ended with LookupError('no budget')" in said
    assert said <= {"The call ended with LookupError('no budget')", "It was not sent"}


@pytest.mark.parametrize("batch", [1, 0])
def test_one_forbidden_log_stops_no_other(log_many: Any, batch: int) -> None:
    """It may be so for a reason of its own; two in a row are not."""
    server = Server(batch)
    forbidden = {"1"}

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            body = read(request)
            log = body["logs"][0]["log"] if "logs" in body else body["log"]
            if log["output"] in forbidden:
                return httpx.Response(403, json={"detail": "Not this one."})
        return None

    server.before = refuse
    many = [{**each, "datapoint_id": "row"} for each in items(4)]  # one at a time
    logged = log_many(server, many, raise_on_error=False)
    assert [each.index for each in logged.failed] == [1]
    forbidden.add("2")
    with pytest.raises(LogsStoppedError) as caught:
        log_many(server, [*many, *many], raise_on_error=False)
    failed = caught.value.result.failed
    assert [each.index for each in failed][:2] == [1, 2]
    assert [type(each.error) for each in failed[:2]] == [PermissionDeniedError] * 2
    assert all(str(each.error).startswith("It was not sent: ") for each in failed[2:])


@pytest.mark.parametrize("attach", [True, False])
def test_a_stopped_call_says_where_the_rest_is(
    log_many: Any, iterated: Any, *, attach: bool
) -> None:
    """On the error of `log_many`, and on the items that `iter_log_many` has yielded."""
    server = Server(2)

    def source() -> Iterator[Any]:
        yield from items(2)
        ended(server, "revoked")
        yield from items(1000)

    match = "`again` of this error holds" if attach else "Each item that was yielded as failed has"
    with pytest.raises(LogsStoppedError, match=match) as caught:
        log_many(server, source()) if attach else iterated(server, source(), [])
    assert bool(caught.value.again) == attach


def test_a_generated_item_with_a_wrong_value_fails_alone(log_many: Any) -> None:
    """As a mapping does; what can be handed over again is one."""
    wrong = EvaluationLogItem(datapoint_id="no/id", log=LogRequest(output="x", save=True))
    logged = log_many(Server(), [wrong, *items(1)], raise_on_error=False)
    assert isinstance(logged[0].error, InvalidIdError)
    assert logged[0].again == {"datapoint_id": "no/id", "log": {"output": "x", "save": True}}
    assert logged[1].log


def test_what_cannot_be_pickled_stays_behind(log_many: Any) -> None:
    """Every error pickles, whatever was handed over."""
    lock = threading.Lock()
    one = {"datapoint_id": "1", "log": {"output": lock}}
    with pytest.raises(LogsFailedError) as failed:
        log_many(Server(), [one])
    copied = pickle.loads(pickle.dumps(failed.value))  # noqa: S301 - our own
    assert (str(copied), copied.again) == (str(failed.value), ())
    with pytest.raises(InvalidItemError) as invalid:
        log_many(Server(), [{"x": lock}])
    copied = pickle.loads(pickle.dumps(invalid.value))  # noqa: S301 - our own
    assert copied.item.startswith("{'x': <unlocked _thread.lock")


def test_no_items_are_no_logs(log_many: Any) -> None:
    """And no error."""
    server = Server()
    assert len(log_many(server, [])) == 0
    assert server.posts == []
