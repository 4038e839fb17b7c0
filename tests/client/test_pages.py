"""`iter_*`: page after page, over both conventions, sync and async."""

from __future__ import annotations

import asyncio
import gc
import linecache
import tracemalloc
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import frozen

from _support.client_methods import METHODS
from _support.contract_examples import examples
from _support.fake_api import BASE_URL, KEY
from _support.served import contract_operations
from evrun import AsyncEvrun, Evrun, InvalidIdError, MissedRecordsWarning, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@frozen
class List:
    """A paged operation of the contract."""

    subject: tuple[str, ...]
    """What its method takes first."""
    first: int
    """The number of the first page."""
    record: dict[str, Any]
    """A record as the contract shows it."""


def lists() -> Iterator[tuple[str, List]]:
    """Yield every operation that answers pages, by the name of its `iter_…` method."""
    for name, (_, _, operation) in contract_operations().items():
        parameters = {each["name"]: each for each in operation.get("parameters", ())}
        if "page" in parameters:
            (method,) = (each for each in METHODS[name] if ".iter_" in each)
            subjects = [each for each in parameters.values() if each["required"]]
            answer = operation["responses"]["200"]["content"]["application/json"]
            yield (
                method,
                List(
                    tuple(each["example"] for each in subjects),
                    parameters["page"]["schema"]["default"],
                    examples(answer)[None]["records"][0],
                ),
            )


LISTS = dict(lists())


def _named(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a record with another id."""
    if "datapoint" in record:
        return {**record, "datapoint": _named(record["datapoint"], name)}
    return {**record, "id": record["id"].partition("_")[0] + "_" + name}


class Pages:
    """An API with so many records in every list; `asked` holds the pages that were asked for.

    With `cursors` it goes on behind the last record, as evrun's server does; else it counts.
    """

    def __init__(
        self, total: int, name: str = "sessions.iter_all", *, cursors: bool = False
    ) -> None:
        self._record, self.first = LISTS[name].record, LISTS[name].first
        self.ids = [f"{n:06}" for n in range(total)]
        self._cursors = cursors
        self.asked: list[int | str] = []
        self.after_page: Callable[[], object] = lambda: None
        self.largest = 1000
        self.hidden: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        size = min(int(request.url.params["size"]), self.largest)
        cursor = request.url.params.get("cursor")
        self.asked.append(page if cursor is None else cursor)
        left = self.ids if cursor is None else [each for each in self.ids if each > cursor]
        start = (page - self.first) * size
        shown = [each for each in left[start : start + size] if each not in self.hidden]
        records = [_named(self._record, each) for each in shown]
        answer = {"records": records, "page": page, "size": size, "total": len(self.ids)}
        if self._cursors:
            answer["next_cursor"] = shown[-1] if left[start + size :] else None
        self.after_page()
        return httpx.Response(200, json=answer)

    def client(self) -> Evrun:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return Evrun(api_key=KEY, base_url=BASE_URL, http_client=http)

    def async_client(self) -> AsyncEvrun:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http)


def iterate(client: Evrun, name: str, **given: Any) -> Iterator[str]:
    resource, method = name.split(".")
    subject = LISTS[name].subject
    for record in getattr(getattr(client, resource), method)(*subject, **given):
        yield _id(record)


async def aiterate(client: AsyncEvrun, name: str, **given: Any) -> AsyncIterator[str]:
    resource, method = name.split(".")
    subject = LISTS[name].subject
    async for record in getattr(getattr(client, resource), method)(*subject, **given):
        yield _id(record)


def _id(record: Any) -> str:
    identifier: str = (record.datapoint if hasattr(record, "datapoint") else record).id
    return identifier.partition("_")[2]


def test_both_page_conventions_are_here() -> None:
    """Some lists of the contract count pages from 0, the others from 1."""
    assert {each.first for each in LISTS.values()} == {0, 1}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("total", "requests"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_every_record_comes_once(name: str, total: int, requests: int) -> None:
    """In order, with as few requests as there are pages, wherever pages count from."""
    api = Pages(total, name)
    assert list(iterate(api.client(), name, page_size=3)) == api.ids
    assert api.asked == [*range(api.first, api.first + requests)]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("total", "requests"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_every_record_comes_once_awaited(name: str, total: int, requests: int) -> None:
    """The same with `async for`."""
    api = Pages(total, name)

    async def collect() -> list[str]:
        async with api.async_client() as client:
            return [each async for each in aiterate(client, name, page_size=3)]

    assert asyncio.run(collect()) == api.ids
    assert api.asked == [*range(api.first, api.first + requests)]


@pytest.mark.parametrize("name", LISTS)
def test_stopping_early_asks_for_no_further_page(name: str) -> None:
    """Pages are fetched as they are needed, and breaking off leaves nothing behind."""
    api = Pages(100, name)
    with api.client() as client:
        for record in iterate(client, name, page_size=10):
            if record == "000011":
                break
    assert api.asked == [api.first, api.first + 1]

    async def stop() -> None:
        async with api.async_client() as client:
            async for record in aiterate(client, name, page_size=10):
                if record == "000011":
                    break
        gc.collect()  # what was left behind would warn

    api.asked.clear()
    asyncio.run(stop())
    assert api.asked == [api.first, api.first + 1]


def test_a_task_that_is_cancelled_between_pages_stops_there() -> None:
    """Cancelling arrives as itself, and the client goes on working."""
    api = Pages(100)

    async def stop() -> int:
        async with api.async_client() as client:
            task = asyncio.create_task(walk(client))
            api.after_page = lambda: len(api.asked) == 2 and task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await client.sessions.list("pr_1")).total

    async def walk(client: AsyncEvrun) -> None:
        async for _ in client.sessions.iter_all("pr_1", page_size=10):
            await asyncio.sleep(0)

    assert asyncio.run(stop()) == 100
    assert api.asked == [1, 2, 1]


def test_nothing_is_sent_before_the_first_record_is_wanted() -> None:
    """A wrong argument is reported at the call, and the first request waits for the loop."""
    api = Pages(1)
    client = api.client()
    with pytest.raises(InvalidIdError, match="project_id"):
        client.sessions.iter_all("evrun_1")
    client.sessions.iter_all("pr_1")
    assert api.asked == []


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("total", "requests"), [(0, 1), (3, 1), (4, 2), (7, 3)])
def test_a_server_that_goes_on_behind_a_record_is_asked_to(
    name: str, total: int, requests: int
) -> None:
    """With as few requests, the first of them as to any server."""
    api = Pages(total, name, cursors=True)
    assert list(iterate(api.client(), name, page_size=3)) == api.ids
    assert api.asked == [api.first, *api.ids[2::3][: requests - 1]]


def test_cursors_are_those_of_answers(tmp_path: Path) -> None:
    """`list` takes the `next_cursor` of a page, and a page without one is the last."""
    with Evrun.local(tmp_path / "evals.db") as client:
        for name in ("a", "b", "c"):
            client.projects.create(name=name)
        first = client.projects.list(size=2, sort_by="name", order="asc")
        last = client.projects.list(size=2, sort_by="name", order="asc", cursor=first.next_cursor)
    assert [each.name for each in first.records + last.records] == ["a", "b", "c"]
    assert last.next_cursor is None


@pytest.mark.parametrize("size", [1, 2, 20])
def test_records_that_come_in_front_bring_none_twice(size: int) -> None:
    """What was shown already and has moved to a later page is left out, however much came."""
    api = Pages(9)
    news = iter(["new1", "new2"])

    def add() -> None:
        api.ids[:0] = [f"{name}-{n}" for name in [next(news, None)] if name for n in range(size)]

    api.after_page = add
    before = list(api.ids)
    shown = list(iterate(api.client(), "sessions.iter_all", page_size=3))
    assert [each for each in shown if each in before] == before
    assert len(shown) == len(set(shown))


def awaited(api: Pages) -> list[str]:
    async def collect() -> list[str]:
        async with api.async_client() as client:
            return [each async for each in aiterate(client, "sessions.iter_all", page_size=3)]

    return asyncio.run(collect())


def blocking(api: Pages) -> list[str]:
    with api.client() as client:
        return list(iterate(client, "sessions.iter_all", page_size=3))


EITHER = pytest.mark.parametrize("walk", [blocking, awaited])


@EITHER
@pytest.mark.parametrize(
    "left",
    [
        lambda ids: ids[3:],
        lambda ids: ids[:2] + ids[3:],
        lambda ids: ids[:3],
        lambda ids: [],
    ],
    ids=["a page in front", "one in front", "all behind", "everything"],
)
def test_a_list_that_shrinks_is_warned_of(
    walk: Callable[[Pages], list[str]], left: Callable[[list[str]], list[str]]
) -> None:
    """Once, by a server that counts pages, whatever goes; what is left is read to the end."""
    api = Pages(9)

    def remove() -> None:
        api.ids = left(api.ids)

    api.after_page = remove
    with pytest.warns(MissedRecordsWarning, match="Records may have been missed") as warned:
        assert walk(api)[:3] == ["000000", "000001", "000002"]
    assert len(warned) == 1


def loop(api: Pages) -> None:
    with api.client() as client:
        for _ in client.sessions.iter_all("pr_1", page_size=3):
            pass


def loop_awaited(api: Pages) -> None:
    async def wait() -> None:
        async with api.async_client() as client:
            async for _ in client.sessions.iter_all("pr_1", page_size=3):
                pass

    asyncio.run(wait())


@pytest.mark.parametrize("walk", [loop, loop_awaited])
def test_the_warning_says_what_to_do_where_the_loop_is(walk: Callable[[Pages], None]) -> None:
    """It stands at the user's line, whose list it is about."""
    api = Pages(9)
    api.after_page = lambda: api.ids.__delitem__(0)
    with pytest.warns(MissedRecordsWarning) as warned:
        walk(api)
    assert warned[0].filename == __file__
    assert " for _ in client" in linecache.getline(__file__, warned[0].lineno)
    assert str(warned[0].message) == (
        "Records may have been missed: the list had 9 records and has 8 now, and this server "
        "counts pages from the start of the list, so later records moved onto pages that were read "
        "already. If your loop changes what it lists, collect first: `for record in list(…)`. Else "
        "iterate again."
    )


@EITHER
def test_a_page_that_is_shorter_than_promised_is_warned_of(
    walk: Callable[[Pages], list[str]],
) -> None:
    """A server may show less than its total says: so many records nobody sees."""
    api = Pages(9)
    api.hidden = {"000004"}
    with pytest.warns(MissedRecordsWarning, match="a page has 2 records and should have 3"):
        assert len(walk(api)) == 8


@EITHER
@pytest.mark.parametrize("cursors", [True, False])
@pytest.mark.parametrize("new", ["-", "z"], ids=["in front", "behind"])
def test_a_list_that_grows_or_stays_is_not_warned_of(
    walk: Callable[[Pages], list[str]], new: str, *, cursors: bool
) -> None:
    """Nothing is missed where nothing goes; warnings are errors here."""
    api = Pages(9, cursors=cursors)
    before = list(api.ids)

    def add() -> None:
        if len(api.asked) < 4:
            api.ids = sorted([*api.ids, f"{new}{len(api.asked)}"])

    api.after_page = add
    assert [each for each in walk(api) if each in before] == before


@EITHER
def test_behind_a_record_nothing_is_missed(walk: Callable[[Pages], list[str]]) -> None:
    """A server with cursors may lose what was shown, also the last record of a page."""
    api = Pages(9, cursors=True)
    before = list(api.ids)

    def remove() -> None:
        api.ids = [each for each in api.ids if each > api.ids[2]]

    api.after_page = remove
    assert walk(api) == before


def test_the_servers_own_page_size_counts() -> None:
    """A server that gives less than was asked for is asked until the end."""
    api = Pages(7)
    api.largest = 2
    assert list(iterate(api.client(), "sessions.iter_all", page_size=1000)) == api.ids
    assert api.asked == [1, 2, 3, 4]


def test_an_error_on_a_later_page_is_raised() -> None:
    """What came before has been yielded; the error says which request failed."""
    pages = Pages(9)

    def fail(request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "2":
            return httpx.Response(404, json={"detail": "There is no project pr_1."})
        return pages(request)

    http = httpx.Client(transport=httpx.MockTransport(fail))
    client = Evrun(api_key=KEY, base_url=BASE_URL, http_client=http)
    records = iterate(client, "sessions.iter_all", page_size=3)
    assert [next(records) for _ in range(3)] == pages.ids[:3]
    with pytest.raises(NotFoundError, match="page=2"):
        next(records)


def count(api: Pages) -> int:
    with api.client() as client:
        return sum(1 for _ in iterate(client, "sessions.iter_all", page_size=50))


def count_awaited(api: Pages) -> int:
    async def wait() -> int:
        async with api.async_client() as client:
            number = 0
            async for _ in aiterate(client, "sessions.iter_all", page_size=50):
                number += 1
            return number

    return asyncio.run(wait())


@pytest.mark.parametrize("walk", [count, count_awaited])
def test_memory_does_not_grow_with_the_number_of_pages(walk: Callable[[Pages], int]) -> None:
    """Five times the pages take no more memory, from a server with cursors."""

    def peak(total: int) -> int:
        api = Pages(total, cursors=True)
        # Rubbish that the collector has not come to yet is no growth.
        api.after_page = gc.collect
        tracemalloc.start()
        assert walk(api) == total
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(50)  # caches fill
    assert peak(750) < 1.25 * peak(150)
