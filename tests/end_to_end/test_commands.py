"""The command line: help, keys, and failures that end with one line and a status."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from _support.commands import environment, evrun, in_process, new_key
from evrun import __version__
from evrun.cli import keys, serve
from evrun.cli.app import app
from evrun.server.store import api_keys

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [(), *commands(app)], ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], tmp_path: Path) -> None:
    """`--help` says what a command is for, and explains each of its options."""
    output = evrun(*path, "--help", cwd=tmp_path).stdout
    assert output.startswith(f"Usage: {' '.join(('evrun', *path))}")
    assert len(output.splitlines()) > 3


def test_every_command_is_documented() -> None:
    """Each command stands in the table of `overlays/README.md`, and each row is a command."""
    page = (Path(__file__).parents[2] / "overlays" / "README.md").read_text(encoding="utf-8")
    ends = {
        " ".join(("evrun", *path))
        for path in commands(app)
        if not isinstance(app.commands[path[0]], click.Group) or len(path) > 1
    }
    assert set(re.findall(r"^\| `(evrun [a-z ]+?)(?: [A-Z].*)?` \|", page, re.MULTILINE)) == ends


def test_every_option_of_the_server_is_documented() -> None:
    """Each stands in the table of `server/README.md`, and each row is an option."""
    page = (Path(serve.__file__).parents[1] / "server" / "README.md").read_text(encoding="utf-8")
    options = {option for each in serve.serve.params for option in each.opts}
    assert set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE)) == options


def test_the_version(tmp_path: Path) -> None:
    """`evrun --version` prints the version."""
    assert evrun("--version", cwd=tmp_path).stdout == f"evrun, version {__version__}\n"


def test_wrong_usage_ends_with_2(tmp_path: Path) -> None:
    """An unknown command is wrong usage."""
    result = evrun("nonsense", cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "No such command 'nonsense'" in result.stderr


def test_a_key_is_printed_once_alone_on_its_line(tmp_path: Path) -> None:
    """`KEY=$(evrun keys create NAME)` works, and only a hash is stored."""
    result = evrun("keys", "create", "ci", cwd=tmp_path)
    key = result.stdout.removesuffix("\n")
    assert key.startswith("evk_")
    assert len(key) >= 36
    assert "\n" not in key
    assert "It is shown only once" in result.stderr
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.encode() not in stored
    assert key not in evrun("keys", "list", cwd=tmp_path).stdout


def test_keys_are_listed_and_revoked(tmp_path: Path) -> None:
    """A revoked key is listed as such; revoking nothing is an error."""
    new_key(tmp_path, "laptop")
    new_key(tmp_path, "ci")
    listed = evrun("keys", "list", cwd=tmp_path).stdout
    assert "laptop" in listed
    assert "ci" in listed
    evrun("keys", "revoke", "ci", cwd=tmp_path)
    (line,) = (
        line for line in evrun("keys", "list", cwd=tmp_path).stdout.splitlines() if "ci" in line
    )
    assert line.count(" UTC") == 2
    result = evrun("keys", "revoke", "nobody", cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "nobody" in result.stderr
    assert "Traceback" not in result.stderr


def test_names_of_keys_do_nothing_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An odd name is refused with a sentence; one from before is listed as it reads."""
    monkeypatch.chdir(tmp_path)
    for name in ("", "a\nb", "a\x1b[2J"):
        result = in_process("keys", "create", name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "A key's name has 1 to 200 printable characters, in one line" in result.stderr
        assert "\x1b" not in result.stderr
    for name in ("[/odd]", "old"):
        assert in_process("keys", "create", name).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "evrun.db")) as connection, connection:
        connection.execute("UPDATE api_keys SET name = 'a' || char(27) || '[2J' WHERE name = 'old'")
    listed = in_process("keys", "list").stdout
    assert "\n[/odd] " in listed
    assert "\na\\x1b[2J " in listed
    revoked = in_process("keys", "revoke", "a\x1b[2J").stderr
    assert revoked == "Revoked a\\x1b[2J.\n"


def test_a_key_is_made_for_less_and_for_a_while(tmp_path: Path) -> None:
    """`--scope` and `--expires` stand in the list; what is no scope or no duration is refused."""
    evrun("keys", "create", "reader", "--scope", "read", "--expires", "30d", cwd=tmp_path)
    new_key(tmp_path, "me")
    listed = evrun("keys", "list", cwd=tmp_path).stdout.splitlines()
    (reader,) = (line for line in listed if "reader" in line)
    (me,) = (line for line in listed if line.startswith("me "))
    assert " read " in reader
    assert " admin " in me
    assert (reader.count(" UTC"), me.count(" UTC")) == (2, 1)
    assert keys.SCOPES == api_keys.SCOPES
    for option, value, said in (
        ("--scope", "root", "'read', 'write', 'admin'"),
        ("--expires", "soon", "Write a number and h, d or w: 12h, 30d, 52w"),
        ("--expires", "0d", "Write a number and h, d or w: 12h, 30d, 52w"),
    ):
        result = evrun("keys", "create", "x", option, value, cwd=tmp_path, check=False)
        assert result.returncode == 2
        assert said in result.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "nonsense: this database does not exist or is empty"),
        ("mysql://h/x", "mysql"),
        ("sqlite:///missing/folder/x.db", "missing/folder"),
        ("missing/folder/x.db", "missing/folder"),
        ("postgresql://u:secret@[::1/x", "with [ and ] around an IPv6 address"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line(tmp_path: Path, url: str, said: str) -> None:
    """A wrong URL or an unusable place is named; no traceback."""
    result = evrun("keys", "list", "--database", url, cwd=tmp_path, check=False)
    assert result.returncode in {2, 3}
    assert said in result.stderr
    assert "secret" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """A file of another kind is refused and left as it was."""
    (tmp_path / "evrun.db").write_text("my only copy of something else")
    result = evrun("keys", "list", cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    assert (tmp_path / "evrun.db").read_text() == "my only copy of something else"


def test_a_database_of_a_newer_evrun_is_refused(tmp_path: Path) -> None:
    """A database that this version does not understand is refused with a sentence."""
    new_key(tmp_path)
    with sqlite3.connect(tmp_path / "evrun.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = evrun("keys", "list", cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert "newer" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", ["--help"], "evrun[cli]"),
        ("rich", ["--help"], "evrun[cli]"),
        ("starlette", ["demo"], "evrun[server]"),
        ("sqlalchemy", ["serve"], "evrun[server]"),
        ("pydantic", ["keys", "list"], "evrun[server]"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, missing: str, arguments: list[str], extra: str
) -> None:
    """Without an extra the command names it, and there is no traceback."""
    code = f"import sys; sys.modules[{missing!r}] = None; from evrun.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 3
    assert f"pip install '{extra}'" in result.stderr
    assert "Traceback" not in result.stderr
