"""The vendor's SDK in a process of its own."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

REQUIREMENT = "humanloop==0.7.35"
_HERE = Path(__file__).parent


def install(folder: Path) -> Path:
    """Return the interpreter of the environment in `folder` that has the vendor's SDK.

    It is made once, whichever processes ask.
    """
    python, done = folder / "bin" / "python", folder / "done"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            venv.create(folder)
            command = ("-m", "pip", "--python", str(python), "install", "-q", REQUIREMENT)
            made = subprocess.run(
                [sys.executable, *command], capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stderr
            done.touch()
    return python


class VendorProcess:
    """One of the scripts beside this file, run over there: JSON in, JSON out, a line each."""

    def __init__(self, python: Path, script: str, base_url: str, key: str) -> None:
        self._process = subprocess.Popen(
            [python, _HERE / script, base_url, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the script's answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the vendor's SDK ended with {self._process.wait()} over {question}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)


@frozen
class Answer:
    """What came of a call."""

    raw: Any
    """The answer's body as it came."""
    typed: Any = None
    """The same, after the SDK's own models have validated it."""
    error: int | None = None
    """The status of a failure."""


class VendorSdk(VendorProcess):
    """Calls methods of the SDK by name, one at a time."""

    def __init__(self, python: Path, base_url: str, key: str) -> None:
        super().__init__(python, "answer_calls.py", base_url, key)

    def call(self, method: str, **arguments: Any) -> Answer:
        """Call a method such as `evaluations.log`."""
        return Answer(**self.ask({"method": method, "arguments": arguments}))


@frozen
class Ran:
    """What came of a piece of code."""

    value: Any = None
    """What it is about, as JSON."""
    raised: tuple[str, ...] = ()
    """The classes of what it raised, from the class itself to its last base."""
    said: str = ""
    """The message of what it raised."""


class VendorCode(VendorProcess):
    """Runs pieces of code one after the other, as one program that has `base_url` and `key`."""

    def __init__(self, python: Path, base_url: str, key: str) -> None:
        super().__init__(python, "answer_code.py", base_url, key)

    def run(self, code: str) -> Ran:
        """Run a piece; see `statements.execute` for what it is about."""
        return Ran(**self.ask({"code": code}))


def without_ours(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an object of an answer as the SDK can know it: without our extensions."""
    ours = {"evaluatees", "next_cursor"} | (
        {"n", "errors", "missing"} if "model_config_id" in answer else set()
    )
    return {name: value for name, value in answer.items() if name not in ours}


def method_of(operation_id: str) -> str:
    """Return the SDK's method of an operation: `Logs_updateByRef` → `logs.update_by_ref`."""
    resource, _, name = operation_id.partition("_")
    return f"{_snake(resource)}.{_snake(name)}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
