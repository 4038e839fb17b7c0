"""`evrun db backup` and `evrun db prune`, as an operator runs them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from commands import evrun

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = ("--database", "sqlite:///evrun-demo.db")


def test_a_backup_is_a_database(tmp_path: Path) -> None:
    """What the demo left is copied, and the copy is served like any other."""
    evrun("demo", cwd=tmp_path)
    result = evrun("db", "backup", "copy.db", *DATABASE, cwd=tmp_path)
    assert result.stdout == ""
    assert result.stderr == f"copy.db: {(tmp_path / 'copy.db').stat().st_size:,} bytes.\n"
    assert evrun("keys", "list", "--database", "sqlite:///copy.db", cwd=tmp_path).returncode == 0


def test_a_backup_of_nothing_fails_and_makes_nothing(tmp_path: Path) -> None:
    """One line and status 3; there is no file of either name afterwards."""
    result = evrun("db", "backup", "copy.db", cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert result.stderr == (f"evrun: {tmp_path / 'evrun.db'}: there is no such file to back up.\n")
    assert list(tmp_path.iterdir()) == []


def test_prune_says_what_goes_and_then_deletes_it(tmp_path: Path) -> None:
    """`--dry-run` tells the same and deletes nothing."""
    evrun("demo", cwd=tmp_path)
    assert (
        "Deleted 0 runs"
        in evrun("db", "prune", "--older-than", "90d", *DATABASE, cwd=tmp_path).stdout
    )
    with sqlite3.connect(tmp_path / "evrun-demo.db") as connection:
        connection.execute("UPDATE evaluation_runs SET updated_at = '2020-01-01 00:00:00.000000'")
        connection.execute("UPDATE logs SET updated_at = '2020-01-01 00:00:00.000000'")
    connection.close()
    said = "1 runs with 20 logs and 20 results, 0 sessions, 0 idempotency keys: all from before"
    for more, verb in ((("--dry-run",), "Would delete"), ((), "Deleted"), ((), "Deleted 0")):
        result = evrun("db", "prune", "--older-than", "90d", *more, *DATABASE, cwd=tmp_path)
        assert result.stdout.startswith(verb)
        assert (said in result.stdout) == (verb != "Deleted 0")


@pytest.mark.parametrize("age", ["90", "0d", "d", "-1d", "90m", "1.5d", "٣d"])
def test_an_age_that_is_none_is_wrong_usage(age: str, tmp_path: Path) -> None:
    """Nothing is opened or deleted."""
    result = evrun("db", "prune", f"--older-than={age}", cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "is no age. Write a number and h, d or w: 90d." in result.stderr
    assert list(tmp_path.iterdir()) == []
