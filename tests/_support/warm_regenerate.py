"""Run `regenerate.py` over many documents in forks of one process that has everything loaded.

Starting Python, both generators and their libraries costs two seconds a document, which is nearly
all of it. Here the script, and each process that it starts, is a fork of this one: as fresh, and
alone.

Takes an ordinary document to load everything with. Reads a line of JSON for each run: a folder to
run in, and the options. Answers with one: the exit status, standard output and standard error.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from _regenerate import generators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

GENERATORS = ("openapi_python_client", "datamodel_code_generator")


def forked(work: Callable[[], object], cwd: str | Path) -> tuple[int, str, str]:
    """Return how `work` ended in a process of its own: exit status, standard output and error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (child := os.fork()) == 0:
            for number, file in ((1, out), (2, err)):
                os.dup2(file.fileno(), number)
            os.chdir(cwd)
            os._exit(_ended(work))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    return status, said[0], said[1]


def _ended(work: Callable[[], object]) -> int:
    """Return the exit status of `work`, as Python itself would."""
    try:
        result = work()
        status = result if isinstance(result, int) else 0
    except SystemExit as exited:
        status = exited.code if isinstance(exited.code, int) else int(exited.code is not None)
    except BaseException:  # noqa: BLE001 -- as Python does at the top
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def become(command: Sequence[str], env: Mapping[str, str]) -> None:
    """Do what `python -P -m MODULE …` or `python -P -c CODE …` does."""
    kind, program, *arguments = command[2:]
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [program if kind == "-m" else "-c", *arguments]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})  # noqa: S102 -- it is what `-c` means


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, **_: Any
) -> subprocess.CompletedProcess[str]:
    """Do what `subprocess.run` does, in a fork."""

    def work() -> None:
        signal.alarm(int(timeout))
        become(command, env)

    return subprocess.CompletedProcess(command, *forked(work, cwd))


class InTurn(Executor):
    """Run one after the other: a process with threads is not to be forked."""

    def __init__(self, _workers: int) -> None:
        super().__init__()

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*given, **named))
        return done


def warm(script: ModuleType, spec: str) -> None:
    """Load all that a run needs, by making one here; only what ends a process is forked."""
    jinja2.Environment.compile = _once(jinja2.Environment.compile)  # type: ignore[method-assign]

    def here(
        command: Sequence[str], *, cwd: Path, env: Mapping[str, str], **options: Any
    ) -> subprocess.CompletedProcess[str]:
        if command[3] not in GENERATORS:
            return run(command, cwd=cwd, env=env, **options)
        with contextlib.chdir(cwd), contextlib.suppress(SystemExit):
            become(command, env)
        return subprocess.CompletedProcess(command, 0, "", "")

    subprocess.run = here  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        script.main(["--spec", spec, "--output", str(Path(folder, "out"))])


def _once(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what was compiled: a generator compiles its templates anew for each document."""
    known: dict[Any, Any] = {}

    def compile_once(environment: jinja2.Environment, *given: Any, **named: Any) -> Any:
        key = (*given, *named.items())
        if key not in known:
            known[key] = compiled(environment, *given, **named)
        return known[key]

    return compile_once


def main() -> None:
    """Answer until standard input ends."""
    script = importlib.import_module("regenerate")
    generators.ThreadPoolExecutor = InTurn  # type: ignore[attr-defined,assignment]
    warm(script, sys.argv[1])
    subprocess.run = run  # type: ignore[assignment]
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        ended = forked(functools.partial(script.main, arguments), folder)
        print(json.dumps(ended), flush=True)  # noqa: T201 -- it is the answer


if __name__ == "__main__":
    main()
