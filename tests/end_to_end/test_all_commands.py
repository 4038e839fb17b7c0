"""What all commands have in common: what they work on, how they print, how they end."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from _support.commands import COMMAND, environment, in_process
from _support.transfers import make_run, write
from evrun import Evrun, __version__
from evrun._base.extras import MODULES
from evrun.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _support.databases import Postgres

ROOT = Path(__file__).parents[2]
ON_A_DATABASE = (
    ("keys", "list"),
    ("keys", "create", "me"),
    ("keys", "revoke", "me"),
    ("db", "current"),
    ("db", "upgrade"),
    ("db", "backup", "copy.db"),
    ("db", "prune", "--older-than", "90d"),
    ("serve", "--port", "0"),
)
ON_EITHER = (("export", "evrun_x"), ("import", "a.jsonl"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database, and with an export of its only run, made once."""
    folder = tmp_path_factory.mktemp("template")
    with Evrun.local(folder / "full.db") as client:
        write(client, make_run(client, [{"output": "x" * 200}] * 30).id, folder / "a.jsonl")
    return folder


@pytest.fixture
def here(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which commands run: a copy of the template."""
    for name in ("full.db", "a.jsonl"):
        shutil.copy(template / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", [*ON_A_DATABASE, *ON_EITHER], ids=" ".join)
def test_no_command_makes_a_database_that_nobody_named(
    arguments: tuple[str, ...], here: Path
) -> None:
    """Without an option or a variable, and with both variables, it is wrong usage."""
    before = set(here.iterdir())
    either = arguments in ON_EITHER
    neither = in_process(*arguments, EVRUN_LOCAL="", EVRUN_BASE_URL="")
    assert (neither.exit_code, neither.stdout) == (2, "")
    for each in ("--database", "EVRUN_LOCAL", *(("EVRUN_BASE_URL", "evrun serve") * either)):
        assert each in neither.stderr.splitlines()[-1]
    both = in_process(*arguments, EVRUN_LOCAL="x.db", EVRUN_BASE_URL="http://127.0.0.1:1/v4")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "EVRUN_LOCAL and EVRUN_BASE_URL are both set" in both.stderr
    if not either:
        address = in_process(*arguments, EVRUN_LOCAL="", EVRUN_BASE_URL="http://127.0.0.1:1/v4")
        assert (address.exit_code, address.stdout) == (2, "")
        assert "needs a database, and EVRUN_BASE_URL names a server" in address.stderr
    assert set(here.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "settings", "name"),
    [
        (("--database", "a.db"), {"EVRUN_LOCAL": "b.db", "EVRUN_BASE_URL": "http://h/v4"}, "a.db"),
        (("--database", "sqlite:///a.db"), {"EVRUN_LOCAL": "b.db"}, "a.db"),
        (("--database", "b c%20d?.db"), {}, "b c%20d?.db"),
        (("--database", "sqlite:/a.db"), {}, "sqlite:/a.db"),
        ((), {"EVRUN_LOCAL": "b.db", "EVRUN_BASE_URL": ""}, "b.db"),
        ((), {"EVRUN_LOCAL": "b.db", "EVRUN_DATABASE": "sqlite:///c.db"}, "b.db"),
    ],
)
def test_the_option_comes_first_and_then_the_one_variable(
    arguments: tuple[str, ...], settings: Mapping[str, str], name: str, here: Path
) -> None:
    """A value with `://` is a URL, any other is a path, whatever the command needs."""
    (here / "sqlite:").mkdir()
    for command in (("import", "a.jsonl"), ("keys", "create", "me")):
        assert in_process(*command, *arguments, **settings).exit_code == 0
        made = {str(each.relative_to(here)) for each in here.rglob("*.db")} - {"full.db"}
        assert made == {name}


@pytest.mark.parametrize(
    ("arguments", "local", "said"),
    [
        (("--database", ""), "x.db", "--database is empty."),
        (("--database", "http://u:secret@127.0.0.1/v4"), "", "Set EVRUN_BASE_URL to the address"),
        ((), "postgresql://u:secret@h/x", "EVRUN_LOCAL is a URL (postgresql://…), and it takes a"),
        (("--database", "mysql://u:secret@h/x"), "", "the server runs on sqlite:///"),
        (("--database", "missing/folder/x.db"), "", "missing/folder"),
    ],
)
def test_what_is_no_database_is_told(
    arguments: tuple[str, ...], local: str, said: str, here: Path
) -> None:
    """What happened and what to do, without a password, and nothing is made."""
    before = set(here.iterdir())
    for command in (("import", "a.jsonl"), ("keys", "create", "me"), ("db", "upgrade")):
        result = in_process(*command, *arguments, EVRUN_LOCAL=local)
        assert result.exit_code in {2, 3}
        assert said in result.stderr
        assert "secret" not in result.output
        assert result.output.count("Traceback") == 0
    assert set(here.iterdir()) == before


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m evrun` runs it."""
    command = [sys.executable, "-m", "evrun", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"evrun, version {__version__}\n"


@pytest.mark.parametrize(
    ("missing", "arguments", "said"),
    [
        (("click", "uvicorn"), ("demo",), "needs click, uvicorn. Install what is missing: pip"),
        (("rich", "alembic", "pydantic"), ("demo",), "'evrun[cli,server]'"),
        (
            ("click", "uvicorn"),
            ("export", "x"),
            "needs click. Install what is missing: pip install",
        ),
        (("sqlalchemy", "psycopg"), ("keys", "list", "--database", "postgresql://h/x"), "[server,"),
        (("pyarrow",), ("export", "pr_x", "-o", "a.parquet"), "pip install 'evrun[data]'"),
    ],
)
def test_all_missing_extras_are_named_at_once(
    missing: tuple[str, ...], arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """In one line, so that nobody installs one to hear of the next."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}; from evrun_command import main; main()", *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_extras_are_those_of_the_package() -> None:
    """Each module that is looked for comes with a requirement of its extra."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra, modules in MODULES.items():
        (listed,) = re.findall(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE)
        required = set(re.findall(r'"([a-z-]+)[^"]*"', listed)) - {"uvloop"}
        assert {each.replace("_", "-") for each in modules} == required


def test_a_key_that_is_there_already_leaves_the_variable_empty_and_says_so(here: Path) -> None:
    """On standard error, since the shell assigns what was printed, and hides the status."""
    assert in_process("keys", "create", "me", "--database", "full.db").exit_code == 0
    again = in_process("keys", "create", "me", "--database", "full.db")
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr.endswith(
        "There is a key named 'me' already. Revoke it, or name another. No key was printed, "
        "because a key is shown only once: a variable that takes the output of this command is "
        "empty now.\n"
    )


def test_what_is_neither_a_run_nor_a_project_is_told(here: Path) -> None:
    """A name, for example; an id of something else is named as what it is."""
    said = in_process("export", "my run", "--database", "full.db")
    assert said.exit_code == 2
    assert said.stderr.splitlines()[-1] == (
        "Error: 'my run' is neither a run nor a project. Give the id of a run (evrun_…) or of a "
        "project (pr_…)."
    )


def test_an_import_that_was_refused_leaves_nothing_beside_its_file(here: Path) -> None:
    """No ids, and nothing that SQLite keeps beside them."""
    (here / "bad.jsonl").write_text("no export\n")
    assert in_process("import", "bad.jsonl", "--database", "full.db").exit_code != 0
    assert [each.name for each in here.glob("bad*")] == ["bad.jsonl"]


def groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, (*path, name))


@pytest.mark.parametrize("path", [*groups(app)], ids=" ".join)
def test_summaries_are_not_cut(path: tuple[str, ...]) -> None:
    """On a narrow screen neither: they are wrapped."""
    group: click.Command = app
    for name in path:
        assert isinstance(group, click.Group)
        group = group.commands[name]
    assert isinstance(group, click.Group)
    for columns in ("60", "80"):
        shown = " ".join(in_process(*path, "--help", COLUMNS=columns).stdout.split())
        for command in group.commands.values():
            first = " ".join((command.help or "").partition("\n\n")[0].split())
            assert first.partition(". ")[0].removesuffix(".") in shown
        assert "..." not in shown.partition("Commands:")[2]


def test_tables_fit_on_a_narrow_screen(here: Path) -> None:
    """Nothing is cut: no id, no time and no text."""
    shown = in_process("demo", COLUMNS="60").stdout
    assert len(set(re.findall(r"data_\w{21}", shown))) == 20
    in_process("keys", "create", "a" * 50, "--expires", "30d", "--database", "full.db")
    listed = in_process("keys", "list", "--database", "full.db", COLUMNS="60").stdout
    assert len(re.findall(r"\b\d{4}-\d\d-\d\d\b", listed)) == 2
    for each in (shown, listed):
        assert "…" not in each
    assert "".join(re.findall(r"^a+", listed, re.MULTILINE)) == "a" * 50


PRINTING = (
    ("--help",),
    ("keys", "--help"),
    ("keys", "list", "--database", "full.db"),
    ("db", "current", "--database", "full.db"),
    ("demo",),
    ("doctor",),
    ("export", "{run}", "--database", "full.db"),
)


def to(output: int, arguments: tuple[str, ...], cwd: Path) -> tuple[int, str]:
    """Run a command with that standard output; return its status and what it says besides."""
    (run,) = re.findall(r"evrun_\w{21}", (cwd / "a.jsonl").read_text())[:1]
    done = subprocess.run(
        [COMMAND, *(each.format(run=run) for each in arguments)],
        cwd=cwd,
        env=environment(),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_is_gone_ends_a_command_silently(
    arguments: tuple[str, ...], here: Path
) -> None:
    """As `| head` leaves it, with the status of programs that SIGPIPE ends."""
    reading, writing = os.pipe()
    os.close(reading)
    assert to(writing, arguments, here) == (141, "")
    os.close(writing)


@pytest.mark.parametrize("arguments", [PRINTING[0], PRINTING[4], PRINTING[6]], ids=" ".join)
def test_an_output_that_takes_no_more_is_one_line(arguments: tuple[str, ...], here: Path) -> None:
    """With status 3, and no trace when the interpreter ends."""
    full = os.open("/dev/full", os.O_WRONLY)
    assert to(full, arguments, here) == (
        3,
        "evrun: The output cannot be written: No space left on device. It is incomplete.\n",
    )
    os.close(full)


def on_a_terminal(arguments: tuple[str, ...], cwd: Path) -> str:
    """Run a command whose standard error is a terminal; return what that shows."""
    ours, theirs = pty.openpty()
    subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment(TERM="xterm"),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody has it open any more
            break
    os.close(ours)
    return shown.decode()


def test_progress_is_for_terminals(here: Path) -> None:
    """On standard error, until the work is done; elsewhere there is nothing of it."""
    (project,) = re.findall(r"pr_\w{21}", (here / "a.jsonl").read_text())[:1]
    for arguments, word in (
        (("demo",), "Evaluating"),
        (("export", project, "--database", "full.db"), "Exporting"),
        (("import", "a.jsonl", "--database", "new.db"), "Importing"),
    ):
        assert word in on_a_terminal(arguments, here)
        assert word not in in_process(*arguments).output


def test_the_plugin_says_which_extra_it_needs(tmp_path: Path) -> None:
    """In one line, where a fixture is asked for; a test that asks for none is not disturbed."""
    (tmp_path / "test_it.py").write_text(
        "import sys\nsys.modules['starlette'] = None\n"
        "def test_client(evrun_client): ...\n"
        "def test_rows(evrun_rows): ...\n"
        "def test_none(): ...\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 2 errors" in done.stdout
    sentence = (
        "A fixture of evrun's needs starlette. Install what is missing: pip install 'evrun[ser"
    )
    assert len(re.findall(rf"^{re.escape(sentence)}", done.stdout, re.MULTILINE)) == 2
    assert "Traceback" not in done.stdout
    assert "ModuleNotFoundError" not in done.stdout


@pytest.mark.parametrize("columns", ["60", "80"])
@pytest.mark.parametrize("name", ["serve", "import", "demo"])
def test_help_says_what_a_database_is(name: str, columns: str) -> None:
    """A path or a URL, and how one is told from the other."""
    shown = " ".join(in_process(name, "--help", COLUMNS=columns).stdout.split())
    assert "--database PATH|URL" in shown
    assert "the path of a SQLite file, or a URL with ://" in shown


def test_a_database_may_be_postgresql(here: Path, postgres: Postgres) -> None:
    """Under either of its names, for commands that need a database and those that need a server."""
    url = postgres.create()
    short = url.replace("postgresql+psycopg://", "postgresql://")
    assert in_process("keys", "create", "me", "--database", short).exit_code == 0
    imported = in_process("import", "a.jsonl", "--database", short)
    assert imported.exit_code == 0
    exported = in_process("export", imported.stdout.strip(), "--database", url)
    postgres.drop(url)
    assert exported.stdout.count('{"kind": "log"') == 30
    assert not (here / "a.jsonl.ids").exists()
