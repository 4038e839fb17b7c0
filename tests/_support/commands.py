"""Run `evrun`: in this process, or as a user does, the installed command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from evrun.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

COMMAND = Path(sys.executable).with_name("evrun")
_ADDRESS = re.compile(r"EVRUN_BASE_URL=(https?://\S+)")


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of the machine, wide enough for whole lines.

    Commands work on the file `evrun.db` of their folder, unless `more` or `--database` says
    otherwise.
    """
    hidden = ("EVRUN_", "HUMANLOOP_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    target = {} if "EVRUN_BASE_URL" in more else {"EVRUN_LOCAL": "evrun.db"}
    return {**own, "COLUMNS": "120", "NO_COLOR": "1", **target, **more}


def evrun(
    *arguments: str | Path, cwd: Path, check: bool = True, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, in `cwd`, and return what it printed."""
    with chdir(cwd):
        result = in_process(*map(str, arguments), **more)
    if check:
        assert result.exit_code == 0, result.output
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def evrun_process(
    *arguments: str | Path, cwd: Path, check: bool = True, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, where that is the point."""
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=check,
        timeout=100,
    )


def in_process(*arguments: str, **more: str) -> Result:
    """Run the command in this process and folder."""
    settings = environment(**more)
    hidden = dict.fromkeys(set(os.environ) - set(settings))
    return CliRunner(env={**hidden, **settings}).invoke(app, arguments, prog_name="evrun")


@contextmanager
def serving(cwd: Path, *arguments: str) -> Iterator[str]:
    """Run `evrun serve` on a free port; yield the base URL, and stop the server in the end."""
    with subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *arguments],
        cwd=cwd,
        env=environment(PYTHONUNBUFFERED="1"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := _ADDRESS.search(line):
                    yield found.group(1)
                    break
            else:
                raise AssertionError(f"the server ended with {process.wait()}")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def new_key(
    cwd: Path, name: str = "tests", *, database: str = "evrun.db", scope: str = "admin"
) -> str:
    """Create a key of a database, which is a URL or a file in `cwd`, and return the key."""
    options = ("--database", database, "--scope", scope)
    created = evrun("keys", "create", name, *options, cwd=cwd)
    return created.stdout.removesuffix("\n")
