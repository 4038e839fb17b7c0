from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from evrun.server.db.ids import new_id

if TYPE_CHECKING:
    import pytest


def test_an_id_is_its_prefix_and_21_characters() -> None:
    """All of them base 62."""
    assert re.fullmatch(r"data_[0-9A-Za-z]{21}", new_id("data_"))


def test_ids_sort_by_time() -> None:
    """Within a process each is greater than the one before, as plain text."""
    ids = [new_id("") for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_ids_grow_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back makes no smaller ids."""
    before = new_id("")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert new_id("") > before
