"""Every setting of a client is given every kind of nonsense: only our own errors come out."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support.fake_api import KEY
from _support.loopback_server import Loopback, running
from evrun import AsyncEvrun, ConfigurationError, Evrun, EvrunError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unspeakable:
    """Has no `repr`, as objects of users may not."""

    def __repr__(self) -> str:
        raise RuntimeError


ODD: tuple[Any, ...] = (
    *(0, -1, 3, 0.5, 1e10, 10**400, 10**5000, float("nan"), float("inf"), True, False),
    *("", " ", "x", "a\0b", "a\n", "\ud800", "x" * 5000, b"x", bytearray(b"x")),
    *([], [1], {}, {1: 2}, {"a": object()}, (), (1, 2), ("a\0", "b"), {1}, iter([1])),
    *(int, print, object(), Unspeakable(), NotImplemented),
    *(httpx.Timeout("x"), httpx.Timeout(None, read=-1), httpx.Timeout(float("inf"))),  # type: ignore[arg-type]
)
SETTINGS = sorted(inspect.signature(Evrun).parameters.keys())
"""All but `proxy`, whose own tests are in `test_connections`."""
OPTIONS = sorted(inspect.signature(Evrun.with_options).parameters.keys() - {"self"})


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


def tried(server: Loopback, settings: dict[str, Any], options: dict[str, Any]) -> None:
    """Make both clients and send a request with each. Raises what is not ours."""
    given = {"api_key": KEY, "base_url": server.base_url, "max_retries": 0, **settings}

    def ask() -> None:
        with Evrun(**given) as client:
            client.with_options(**options).projects.list(size=1)

    async def ask_async() -> None:
        async with AsyncEvrun(**given) as client:
            await client.with_options(**options).projects.list(size=1)

    for asking in (ask, lambda: asyncio.run(ask_async())):
        try:
            asking()
        except EvrunError as error:
            assert KEY not in str(error)
            assert len(str(error)) < 1000 or not isinstance(error, ConfigurationError)


@pytest.mark.parametrize("transport", [None, "fast"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_raises_nothing_of_others(
    setting: str, transport: str | None, server: Loopback
) -> None:
    """Whatever a setting is given, the constructor or the first request raises an `EvrunError`."""
    for value in ODD:
        tried(server, {"transport": transport, setting: value}, {})


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_raises_nothing_of_others(option: str, server: Loopback) -> None:
    """The same for a view's options, and for what stands in those that are mappings."""
    for value in ODD:
        tried(server, {}, {option: value})
        if option.startswith("extra_"):
            tried(server, {}, {option: {"a": value}})
            tried(server, {}, {option: {str(type(value)): "a"}})


@pytest.mark.parametrize("path", [None, 3, b"x.db", "a\0b", "\ud800.db", [], int, Unspeakable()])
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    """`Evrun.local` takes the path of a file, and says so before it looks for one."""
    for cls in (Evrun, AsyncEvrun):
        with pytest.raises(ConfigurationError, match="^Evrun.local: .* is not the path of a file"):
            cls.local(path)
