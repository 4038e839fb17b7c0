"""Threads of our own: the client's for many calls, and the server's."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from evrun._bulk.threads import in_threads
from evrun.server.db.threads import Threads, begin

WHO: ContextVar[str] = ContextVar("who")


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_calls_are_made_at_a_time_and_answered_in_order() -> None:
    """As many as asked for meet, this thread among them, each with the caller's context."""
    WHO.set("the caller")
    together = threading.Barrier(3)

    def call(number: int) -> tuple[int, str]:
        together.wait(10)
        return number, WHO.get()

    before = threading.active_count()
    assert in_threads(call, range(6), 3) == [(number, "the caller") for number in range(6)]
    assert in_threads(call, [], 3) == []
    assert threading.active_count() == before


def test_what_a_call_raises_ends_them_all() -> None:
    """No further call is begun, and the error is the call's own."""
    begun: list[int] = []

    def call(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"\d"):
        in_threads(call, range(100), 2)
    assert len(begun) <= 2


def test_calls_are_made_here_where_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, one after the other."""
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    here = threading.get_ident()
    assert in_threads(lambda _: threading.get_ident(), range(3), 3) == [here] * 3
    assert begin(threading.get_ident, "no-thread").result(0) == here


def test_the_servers_threads_grow_to_what_is_needed() -> None:
    """An idle one is used again; beyond the most, work waits."""
    threads = Threads(2, "worker")
    try:
        for _ in range(5):
            ident = threads.submit(threading.get_ident).result(10)
            assert threads.submit(threading.get_ident).result(10) == ident
        free = threading.Event()
        held = [threads.submit(free.wait, 10) for _ in range(3)]
        assert sum(each.running() for each in held) <= 2
        assert held[2].cancel()
        free.set()
        assert [each.result(10) for each in held[:2]] == [True, True]
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 // 0).result(10)
    finally:
        threads.shutdown()
    assert not [each for each in threading.enumerate() if each.name == "worker"]


def test_the_server_makes_do_with_the_threads_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work waits for one of them; without any it is refused."""
    threads, none = Threads(2, "worker"), Threads(2, "worker")
    free = threading.Event()
    held = threads.submit(free.wait, 10)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_thread)
        waiting = threads.submit(threading.get_ident)
        with pytest.raises(RuntimeError, match="can't create new thread"):
            none.submit(threading.get_ident)
    free.set()
    assert held.result(10)
    assert waiting.result(10) != threading.get_ident()
    threads.shutdown()
    none.shutdown()
