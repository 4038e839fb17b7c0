"""`iter_*`: page after page, over both conventions, sync and async."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fake_api import BASE_URL, KEY

from evrun import AsyncEvrun, Evrun, InvalidIdError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Arguments = tuple[str, ...]

NOW = "2024-05-01T00:00:00Z"


class Pages:
    """An API with so many records in every list; `asked` holds the pages that were asked for."""

    def __init__(self, total: int, first: int) -> None:
        self.ids = [f"{n:06}" for n in range(total)]
        self.first = first
        self.asked: list[int] = []
        self.after_page: Callable[[], None] = lambda: None
        self.largest = 1000

    def __call__(self, request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        size = min(int(request.url.params["size"]), self.largest)
        self.asked.append(page)
        start = (page - self.first) * size
        records = [_session(each) for each in self.ids[start : start + size]]
        if "datapoints" in request.url.path:
            records = [_datapoint(request.url.path, each["id"]) for each in records]
        answer = {"records": records, "page": page, "size": size, "total": len(self.ids)}
        self.after_page()
        return httpx.Response(200, json=answer)

    def client(self) -> Evrun:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return Evrun(api_key=KEY, base_url=BASE_URL, http_client=http)

    def async_client(self) -> AsyncEvrun:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http)


def _session(name: str) -> dict[str, Any]:
    times = {"created_at": NOW, "updated_at": NOW}
    return {"id": f"sesh_{name}", "projects": [], "datapoints_count": 0, **times}


def _datapoint(path: str, name: str) -> dict[str, Any]:
    datapoint = {"id": name}
    if "datasets" in path:
        return datapoint
    return {"datapoint": datapoint, "log": None, "evaluation_results": []}


LISTS = {
    "sessions.iter_all": ("pr_1", 1),
    "datasets.iter_datapoints": ("evts_1", 0),
    "evaluations.iter_datapoints": ("evrun_1", 1),
}


def iterate(client: Evrun, name: str, subject: str, **given: Any) -> Iterator[str]:
    resource, method = name.split(".")
    for record in getattr(getattr(client, resource), method)(subject, **given):
        yield _id(record)


async def aiterate(client: AsyncEvrun, name: str, subject: str, **given: Any) -> AsyncIterator[str]:
    resource, method = name.split(".")
    async for record in getattr(getattr(client, resource), method)(subject, **given):
        yield _id(record)


def _id(record: Any) -> str:
    identifier: str = (record.datapoint if hasattr(record, "datapoint") else record).id
    return identifier.removeprefix("sesh_")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("total", "requests"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_every_record_comes_once(name: str, total: int, requests: int) -> None:
    """In order, with as few requests as there are pages, wherever pages count from."""
    subject, first = LISTS[name]
    api = Pages(total, first)
    assert list(iterate(api.client(), name, subject, page_size=3)) == api.ids
    assert api.asked == [*range(first, first + requests)]


@pytest.mark.parametrize("name", LISTS)
def test_every_record_comes_once_awaited(name: str) -> None:
    """The same with `async for`."""
    subject, first = LISTS[name]
    api = Pages(7, first)

    async def collect() -> list[str]:
        async with api.async_client() as client:
            return [each async for each in aiterate(client, name, subject, page_size=3)]

    assert asyncio.run(collect()) == api.ids
    assert api.asked == [first, first + 1, first + 2]


def test_stopping_early_asks_for_no_further_page() -> None:
    """Pages are fetched as they are needed, and breaking off leaves nothing behind."""
    api = Pages(100, 1)
    with api.client() as client:
        for record in client.sessions.iter_all("pr_1", page_size=10):
            if record.id == "sesh_000011":
                break
    assert api.asked == [1, 2]

    async def stop() -> None:
        async with api.async_client() as client:
            async for record in client.sessions.iter_all("pr_1", page_size=10):
                if record.id == "sesh_000011":
                    break

    api.asked.clear()
    asyncio.run(stop())
    assert api.asked == [1, 2]


def test_nothing_is_sent_before_the_first_record_is_wanted() -> None:
    """A wrong argument is reported at the call, and the first request waits for the loop."""
    api = Pages(1, 1)
    client = api.client()
    with pytest.raises(InvalidIdError, match="project_id"):
        client.sessions.iter_all("evrun_1")
    client.sessions.iter_all("pr_1")
    assert api.asked == []


def test_records_that_come_in_front_bring_none_twice() -> None:
    """What was shown on the last page and has moved to the next is left out."""
    api = Pages(9, 1)
    news = iter(["new1", "new2"])

    def add() -> None:
        api.ids[:0] = [name for name in [next(news, None)] if name]

    api.after_page = add
    before = list(api.ids)
    assert list(iterate(api.client(), "sessions.iter_all", "pr_1", page_size=3)) == before


def test_the_servers_own_page_size_counts() -> None:
    """A server that gives less than was asked for is asked until the end."""
    api = Pages(7, 1)
    api.largest = 2
    assert list(iterate(api.client(), "sessions.iter_all", "pr_1", page_size=1000)) == api.ids
    assert api.asked == [1, 2, 3, 4]


def test_a_list_that_shrinks_ends() -> None:
    """An empty page is the end, whatever the total says."""
    api = Pages(9, 1)
    api.after_page = lambda: api.ids.__delitem__(slice(3, None))
    assert len(list(iterate(api.client(), "sessions.iter_all", "pr_1", page_size=3))) == 3


def test_an_error_on_a_later_page_is_raised() -> None:
    """What came before has been yielded; the error says which request failed."""
    pages = Pages(9, 1)

    def fail(request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "2":
            return httpx.Response(404, json={"detail": "There is no project pr_1."})
        return pages(request)

    http = httpx.Client(transport=httpx.MockTransport(fail))
    client = Evrun(api_key=KEY, base_url=BASE_URL, http_client=http)
    records = iterate(client, "sessions.iter_all", "pr_1", page_size=3)
    assert [next(records) for _ in range(3)] == pages.ids[:3]
    with pytest.raises(NotFoundError, match="page=2"):
        next(records)


def test_memory_does_not_grow_with_the_number_of_pages() -> None:
    """Ten times the pages take no more memory than one."""

    def peak(total: int) -> int:
        api = Pages(total, 1)
        tracemalloc.start()
        count = sum(1 for _ in iterate(api.client(), "sessions.iter_all", "pr_1", page_size=100))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == total
        return highest - sum(map(len, api.ids))

    peak(200)  # caches fill
    assert peak(5000) < 2 * peak(500)
