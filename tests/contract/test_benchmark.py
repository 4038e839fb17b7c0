"""`scripts/benchmark.py`: that it measures and reports, and never how long something takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark
from _benchmark.case import Case, Figure, Inputs, Unusable
from _benchmark.report import as_json, table

SCRIPT = Path(benchmark.__file__)
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/x": {
            "get": {
                "operationId": "X_get",
                "responses": {
                    "200": {
                        "description": "",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/X"}}
                        },
                    }
                },
            }
        }
    },
    "components": {"schemas": {"X": {"type": "object", "properties": {"x": {"type": "string"}}}}},
}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def documents(folder: Path) -> tuple[Path, Path]:
    """Write two revisions, of which the second breaks the first."""
    old, new = folder / "old.json", folder / "new.json"
    old.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    new.write_text(json.dumps(DOCUMENT).replace("string", "integer"), encoding="utf-8")
    return old, new


@pytest.mark.soak
def test_the_scripts_are_measured(tmp_path: Path) -> None:
    """Each case runs the real script over the documents given, and says what is claimed."""
    old, new = documents(tmp_path)
    named = ("--spec", old, "--specs", old, new)
    done = run("import", "spec-diff", "--repeat", "1", "--json", *named)
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    assert [(each["name"], each["unit"], each["at_most"]) for each in figures] == [
        ("import: the whole document", "s", None),
        ("regenerate: the whole document", "s", 10),
        ("spec-diff: two revisions", "s", 1),
    ]
    assert all(each["value"] > 0 for each in figures)


@pytest.mark.parametrize(
    ("value", "at_most", "at_least", "holds"),
    [
        (1.0, None, None, None),
        (1.0, 1.0, None, True),
        (1.1, 1.0, None, False),
        (3.0, None, 3.0, True),
        (2.9, None, 3.0, False),
        (2.0, 3.0, 1.0, True),
    ],
)
def test_a_claim_holds_or_fails(
    value: float, at_most: float | None, at_least: float | None, *, holds: bool | None
) -> None:
    """By a bound from above, from below or both; without one nothing is claimed."""
    assert Figure("x", value, "s", at_most=at_most, at_least=at_least).holds is holds


def test_figures_are_a_table_or_data() -> None:
    """Both say the same: what was measured, what is claimed, whether it holds."""
    figures = [Figure("a case", 1.234, "s", at_most=6), Figure("ratio", 2, "x", at_least=3)]
    assert table(figures).splitlines() == [
        "figure  measured  claimed",
        "a case    1.23 s    ≤ 6 s  holds",
        "ratio     2.00 x    ≥ 3 x  FAILS",
    ]
    assert as_json(figures)[1] == {
        "name": "ratio",
        "value": 2,
        "unit": "x",
        "at_most": None,
        "at_least": 3,
        "holds": False,
    }


def give(*figures: Figure) -> Case:
    return lambda _: list(figures)


def unusable(_: Inputs) -> list[Figure]:
    raise Unusable("needs the moon")


def test_a_claim_that_fails_is_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed claim is 1; a case that cannot run is left out, unless it was asked for."""
    slow, quick = Figure("slow", 2, "s", at_most=1), Figure("quick", 1, "s", at_most=1)
    cases = {"slow": give(slow), "quick": give(quick), "moon": unusable}
    monkeypatch.setattr(benchmark, "CASES", cases)
    assert benchmark.main([]) == 1
    said = "measured slow again: a claim failed\nleft out moon: needs the moon\n"
    assert capsys.readouterr().err == said
    assert benchmark.main(["quick"]) == 0
    assert benchmark.main(["moon"]) == 2
    assert capsys.readouterr().err == "benchmark: moon: needs the moon\n"


@pytest.mark.parametrize(("seconds", "status"), [([2, 1], 0), ([2, 2], 1), ([1, 2], 0)])
def test_a_claim_that_fails_once_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: list[float],
    status: int,
) -> None:
    """Only the second measurement counts then, and no third is made."""
    given = iter(seconds)
    case: Case = lambda _: [Figure("case", next(given), "s", at_most=1)]  # noqa: E731
    monkeypatch.setattr(benchmark, "CASES", {"case": case})
    assert benchmark.main(["--json"]) == status
    done = capsys.readouterr()
    again = seconds[0] > 1
    assert done.err == ("measured case again: a claim failed\n" if again else "")
    (figure,) = json.loads(done.out)
    assert figure["value"] == seconds[again]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["speed"], "no case is called 'speed'; there are "),
        (["--repeat", "0"], "--repeat must be at least 1"),
        (["import", "--spec", "nowhere.json"], "benchmark: import: import_spec.py ended with 2:"),
        (["spec-diff"], "benchmark: spec-diff: needs --specs: two revisions of a document"),
    ],
)
def test_wrong_usage_is_one_clear_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2, and nothing on standard output."""
    try:
        status: object = benchmark.main(arguments)
    except SystemExit as exited:
        status = exited.code
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert said in printed.err.splitlines()[-1]
