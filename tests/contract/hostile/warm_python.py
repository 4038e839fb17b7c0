"""Run Python programs in forks of a process that has the generators loaded.

Starting both generators costs two seconds a document, of which loading them is nearly all; a fork
costs a tenth of a second and is as fresh. `python warm_python.py SOCKET` answers requests, each on
a connection of its own: JSON with `arguments` (`-m NAME …` or `-c CODE …`), `cwd`, `env` and the
files for `stdout` and `stderr`; the answer is the exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from typing import Any

LIBRARIES = (
    *("datamodel_code_generator.__main__", "datamodel_code_generator.parser.openapi"),
    *("openapi_python_client.cli", "openapi_python_client.__main__"),
    *("attrs", "httpx", "pydantic"),
)


def serve(address: str) -> None:
    """Answer requests until standard input ends, which is when the tests do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the connections' processes.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(connection)
            os._exit(0)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Run one program and say how it ended."""
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        request = json.loads(stream.readline())
        child = os.fork()
        if child == 0:
            os._exit(run(request))
        stream.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


def run(request: dict[str, Any]) -> int:
    """Become the program, as `python -P` would."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    kind, program, *rest = request["arguments"]
    status = 0
    try:
        if kind == "-m":
            sys.argv = [program, *rest]
            runpy.run_module(program, run_name="__main__")
        else:
            sys.argv = ["-c", *rest]
            exec(program, {"__name__": "__main__"})  # noqa: S102 -- it is what `-c` means
    except SystemExit as exited:
        status = exited.code if isinstance(exited.code, int) else int(exited.code is not None)
    except BaseException:  # noqa: BLE001 -- as Python does at the top
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    serve(sys.argv[1])
