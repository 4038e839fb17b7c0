"""`with_raw_response`: the same calls, with the answer beside the result."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from _support.fake_api import BASE_URL, KEY
from _support.loopback_server import LOGGED, PAGE, Answer, Loopback, Seen, running
from evrun import AsyncEvrun, Evrun, NotFoundError
from evrun.raw import RawEvrun, RawResponse
from evrun.results import CreatedLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


def resources(client: Evrun | AsyncEvrun) -> dict[str, Any]:
    """Return the resources of a client by name."""
    names = [name for name in vars(RawEvrun) if not name.startswith("_")]
    return {name: getattr(client, name) for name in names}


def methods(resource: Any) -> set[str]:
    return {
        name
        for name, each in vars(type(resource)).items()
        if inspect.isfunction(each) and not name.startswith("_")
    }


CLIENTS: list[Evrun | AsyncEvrun] = [
    Evrun(api_key=KEY, base_url=BASE_URL),
    AsyncEvrun(api_key=KEY, base_url=BASE_URL),
]


@pytest.mark.parametrize("client", CLIENTS, ids=["sync", "async"])
def test_every_method_has_a_raw_twin(client: Evrun | AsyncEvrun) -> None:
    """Each method that makes one call has a raw form, and nothing else does."""
    facades = {
        name
        for cls in type(client).__mro__
        for name, each in vars(cls).items()
        if hasattr(each, "func") and type(each).__name__ == "cached_property"
    }
    assert set(resources(client)) == facades
    for name, resource in resources(client).items():
        twin = getattr(client.with_raw_response, name)
        many = {each for each in methods(resource) if each.startswith("iter_")} | {"log_many"}
        wanted = methods(resource) - many
        assert set(vars(twin)) == wanted, name


@pytest.mark.parametrize("client", CLIENTS, ids=["sync", "async"])
def test_a_raw_twin_is_the_method_with_the_same_signature(client: Evrun | AsyncEvrun) -> None:
    """The twin of a method wraps that method, takes what it takes and says what it says."""
    for name, resource in resources(client).items():
        twins = vars(getattr(client.with_raw_response, name))
        for method, twin in twins.items():
            original = getattr(resource, method)
            assert twin.__wrapped__ == original, f"{name}.{method}"
            assert inspect.signature(twin) == inspect.signature(original)
            assert twin.__doc__ == original.__doc__
            assert inspect.iscoroutinefunction(twin) == inspect.iscoroutinefunction(original)


class BusyOnce:
    """Declines the first request for each path, and takes the second."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def __call__(self, seen: Seen) -> Answer:
        if seen.path not in self.paths:
            self.paths.add(seen.path)
            return Answer(status=429, headers=(("retry-after-ms", "1"),))
        named = (("X-Request-ID", "r-2"),)
        if seen.method == "POST":
            return Answer(status=201, body=LOGGED, headers=named)
        return Answer(body=PAGE, headers=named)


def test_the_answer_is_beside_the_result() -> None:
    """Status, headers, body, attempts and the key of a call that was tried twice."""
    with (
        running(Loopback(BusyOnce())) as server,
        Evrun(api_key=KEY, base_url=server.base_url) as client,
    ):
        raw = client.with_raw_response.evaluations.log("evrun_1", datapoint_id="1", log={})
        listed = client.with_raw_response.projects.list()
    checked(raw, server)
    assert (listed.parsed.total, listed.attempts, listed.idempotency_key) == (0, 2, None)


def checked(raw: RawResponse[CreatedLog], server: Loopback) -> None:
    assert type(raw.parsed) is CreatedLog
    assert raw.parsed.id == LOGGED["id"]
    assert (raw.status_code, raw.headers["x-request-id"], raw.attempts) == (201, "r-2", 2)
    assert json.loads(raw.content) == raw.http.json() == LOGGED
    assert raw.elapsed >= 0.001
    assert raw.idempotency_key == server.seen[0].headers["idempotency-key"]


def test_the_answer_is_beside_an_awaited_result() -> None:
    """The same for `AsyncEvrun`, and tasks at a time do not mix their answers."""

    async def main(server: Loopback) -> None:
        async with AsyncEvrun(api_key=KEY, base_url=server.base_url) as client:
            raw = client.with_raw_response
            logged = await raw.evaluations.log("evrun_1", datapoint_id="1", log={})
            checked(logged, server)
            pages = await asyncio.gather(*(raw.projects.list(page=n) for n in range(20)))
            assert [page.attempts for page in pages] == [2] * 20
            asked = [page.http.request.url.params["page"] for page in pages]
            assert asked == [str(n) for n in range(20)]

    with running(Loopback(BusyOnce())) as busy:
        asyncio.run(main(busy))


def test_raw_views_keep_their_options(server: Loopback) -> None:
    """`with_options` and `with_raw_response` go together."""
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        view = client.with_options(extra_headers={"X-Team": "a"})
        assert view.with_raw_response.projects.list().status_code == 200
    assert server.seen[0].headers["x-team"] == "a"


def test_failures_are_raised_as_ever(tmp_path: Path) -> None:
    """A raw call raises what the plain one raises; a real server answers the rest."""
    with Evrun.local(tmp_path / "evals.db") as client:
        raw = client.with_raw_response
        made = raw.projects.create(name="raw")
        assert (made.status_code, made.parsed.name) == (201, "raw")
        assert raw.projects.get(made.parsed.id).parsed == client.projects.get(made.parsed.id)
        assert made.headers["X-Request-ID"]
        with pytest.raises(NotFoundError):
            raw.projects.get("pr_0000000000000000000000")
