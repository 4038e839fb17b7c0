"""`regenerate.py` without the seconds that Python, both generators and their libraries take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from _support import SUPPORT

if TYPE_CHECKING:
    from pathlib import Path

ROOT = SUPPORT.parents[1]


class WarmRegenerate:
    """Runs the script in forks of one process: see `warm_regenerate.py`."""

    def __init__(self, sample: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SUPPORT / "warm_regenerate.py", sample],
            env={
                **{key: value for key, value in os.environ.items() if key[:6] != "PYTHON"},
                "PYTHONPATH": str(ROOT / "scripts"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "PYTHONUTF8": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(
        self, *arguments: str | Path, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run the script in `cwd`."""
        given = [str(each) for each in arguments]
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(json.dumps([str(cwd), given]) + "\n")
        asked.flush()
        return subprocess.CompletedProcess(given, *json.loads(answers.readline()))

    def close(self) -> None:
        self._process.communicate()
