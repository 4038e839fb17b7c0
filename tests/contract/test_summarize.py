from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from _openapi.document import load
from _openapi.walk import operations

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "summarize.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what the script reads."""
    for folder in (
        "openapi",
        "generated/evrun_api",
        "overlays/evrun",
        "tests/server",
        "tests/_support",
    ):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_the_summaries_are_fresh() -> None:
    """What is committed is what the script writes."""
    checked = run("--check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_table_has_a_row_for_every_operation() -> None:
    """Each row names the address, the generated function, the method, the route and a test."""
    rows = [
        line.strip("| ").split(" | ")
        for line in (ROOT / "openapi/README.md").read_text("utf-8").splitlines()
        if line.startswith("| `") and line.count(" | ") == 5
    ]
    document = load(ROOT / "openapi" / "openapi.yaml")
    addresses = {
        f"`{operation['operationId']}`": f"`{method.upper()} {path}`"
        for path, method, operation in operations(document)
    }
    assert {row[0]: row[1] for row in rows} == addresses
    assert all(all(cell for cell in row) for row in rows)


def test_every_link_of_the_table_leads_somewhere() -> None:
    """Links are relative to the README."""
    text = (ROOT / "openapi/README.md").read_text("utf-8")
    links = {part.split(")")[0] for part in text.split("](")[1:]}
    assert links
    assert [link for link in links if not (ROOT / "openapi" / link).exists()] == []


def test_a_change_makes_them_stale_and_a_run_makes_them_fresh(project: Path) -> None:
    """Another sentence in the contract is noticed, written, and then no more a difference."""
    contract = project / "openapi" / "openapi.yaml"
    text = contract.read_text("utf-8")
    contract.write_text(text.replace("Single rows of datasets.", "One row each."), "utf-8")
    stale = run("--check", "--root", project)
    assert stale.returncode == 1
    assert stale.stderr == "stale: openapi/llms.txt; run: python scripts/summarize.py\n"
    assert run("--root", project).returncode == 0
    assert "One row each." in (project / "openapi" / "llms.txt").read_text("utf-8")
    assert run("--check", "--root", project).returncode == 0


@pytest.mark.parametrize(
    ("path", "old", "new", "sentence"),
    [
        ("overlays/evrun/resources/sessions.py", "sessions_get", "sessions_list", "method in"),
        ("overlays/evrun/server/api/routes/sessions.py", '"Sessions_get"', '"x"', "route in"),
        ("openapi/README.md", "<!-- operations end -->", "", "lacks its marks"),
    ],
)
def test_an_operation_without_a_piece_is_named(
    project: Path, path: str, old: str, new: str, sentence: str
) -> None:
    """What an operation lacks is one line, and nothing is written."""
    file = project / path
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    (project / "openapi" / "llms.txt").unlink()
    refused = run("--root", project)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (project / "openapi" / "llms.txt").exists()
