"""mypy and pyright agree with `api.py` about what is a mistake."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).with_name("api.py")
ROOT = API.parents[2]
EXPECTED = {
    number
    for number, line in enumerate(API.read_text(encoding="utf-8").splitlines(), 1)
    if line.endswith("# error")
}


@pytest.mark.typing
def test_mypy_reports_swapped_ids() -> None:
    """Mypy --strict reports each marked line and no other."""
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", str(API)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = re.findall(r"^[^\n]*api\.py:(\d+): error", result.stdout, re.MULTILINE)
    assert {int(line) for line in lines} == EXPECTED, result.stdout + result.stderr


@pytest.mark.typing
def test_pyright_reports_swapped_ids(tmp_path: Path) -> None:
    """Pyright reports each marked line and no other."""
    # A project of its own: the repository's leaves api.py out, even when it is named.
    shutil.copy(API, tmp_path)
    settings = {
        "extraPaths": [str(ROOT / "overlays"), str(ROOT / "generated")],
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--project", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(result.stdout)["generalDiagnostics"]
    lines = {entry["range"]["start"]["line"] + 1 for entry in found if entry["severity"] == "error"}
    assert lines == EXPECTED, result.stdout
