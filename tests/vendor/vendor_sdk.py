"""The vendor's SDK in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

REQUIREMENT = "humanloop==0.7.35"
_LOOP = Path(__file__).with_name("answer_calls.py")


def install(folder: Path) -> Path:
    """Make an environment with the vendor's SDK in `folder` and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT)
    installed = subprocess.run([python, *command], capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return python


@frozen
class Answer:
    """What came of a call."""

    raw: Any
    """The answer's body as it came."""
    typed: Any = None
    """The same, after the SDK's own models have validated it."""
    error: int | None = None
    """The status of a failure."""


class VendorSdk:
    """Calls methods of the SDK by name, one at a time."""

    def __init__(self, python: Path, base_url: str, key: str) -> None:
        self._process = subprocess.Popen(
            [python, _LOOP, base_url, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, method: str, **arguments: Any) -> Answer:
        """Call a method such as `evaluations.log`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the vendor's SDK ended with {self._process.wait()} over {method}"
        return Answer(**json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=20)


def method_of(operation_id: str) -> str:
    """Return the SDK's method of an operation: `Logs_updateByRef` → `logs.update_by_ref`."""
    resource, _, name = operation_id.partition("_")
    return f"{_snake(resource)}.{_snake(name)}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
