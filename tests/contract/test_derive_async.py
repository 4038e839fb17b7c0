"""`derive_async.py`: the awaited half of the overlay is as the other half says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import derive_async
from _derive import source

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """Return a copy of what the script reads and writes."""
    for part in ("resources", "aio"):
        shutil.copytree(ROOT / "overlays/evrun" / part, tmp_path / "overlays/evrun" / part)
    for part in ("raw.py", "run.py"):
        shutil.copy(ROOT / "overlays/evrun" / part, tmp_path / "overlays/evrun")
    return tmp_path / "overlays"


def test_the_awaited_half_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed is what the script writes."""
    assert (derive_async.main(["--check"]), capsys.readouterr().err) == (0, "")


def test_a_change_makes_it_stale_and_a_run_makes_it_fresh(
    overlay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another sentence, and a module too many: named, mended, and then no more a difference."""
    file = overlay / "evrun/resources/sessions.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("Return a session.", "Return one session."), "utf-8")
    (overlay / "evrun/aio/more.py").touch()
    named = ["--overlay", str(overlay)]
    assert derive_async.main([*named, "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"stale: overlays/evrun/aio/{name}.py; run: python scripts/derive_async.py"
        for name in ("more", "sessions")
    ]
    assert derive_async.main(named) == 0
    assert "Return one session." in (overlay / "evrun/aio/sessions.py").read_text("utf-8")
    assert derive_async.main([*named, "--check"]) == 0


def test_a_replacement_without_a_use_is_refused(
    overlay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that no longer applies is named: what it replaced may have another name now."""
    file = overlay / "evrun/resources/evaluations.py"
    file.write_text(file.read_text("utf-8").replace("perform", "performed"), "utf-8")
    assert derive_async.main(["--check", "--overlay", str(overlay)]) == 2
    assert capsys.readouterr().err == "derive_async: nothing to replace any more: perform\n"


CLASS = '''\
"""Doors: they open.

More of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._calls.call import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evrun.results import Log


def some(text: str) -> str: ...


class DoorCalls:
    def open(self) -> Call[Log]: ...


class Doors:
    """Doors: `Doors.open` opens one of the Doors."""

    def __init__(self) -> None:
        self._calls = DoorCalls()

    def open(self, items: Iterable[str]) -> Log:
        for each in self.iter_all():
            print(some(each))
        return self._calls.open().run()

    def iter_all(self) -> Iterator[Log]:
        return self._calls.open().records()

    @property
    def name(self) -> str:
        return some("name")
'''
DERIVED = '''\
"""Doors: they open.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.doors import DoorCalls, some

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from evrun.results import Log


class AsyncDoors:
    """Doors: `AsyncDoors.open` opens one of the Doors."""

    def __init__(self) -> None:
        self._calls = DoorCalls()

    async def open(self, items: Iterable[str] | AsyncIterable[str]) -> Log:
        async for each in self.iter_all():
            print(some(each))
        return await self._calls.open().run_async()

    def iter_all(self) -> AsyncIterator[Log]:
        return self._calls.open().records_async()

    @property
    def name(self) -> str:
        return some("name")
'''


def test_calls_are_awaited_and_iterators_are_not(overlay: Path) -> None:
    """Methods, loops, items and names change; properties, helpers and prose do not."""
    (overlay / "evrun/resources/doors.py").write_text(CLASS, "utf-8")
    header, derived = source.derived(overlay / "evrun")["doors.py"].split("\n\n", 1)
    assert "from overlays/evrun/resources/doors.py." in header
    assert derived == DERIVED
