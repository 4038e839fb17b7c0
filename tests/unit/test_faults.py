"""Schedules of faults as values: what they refuse, what they match, whom they choose."""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from evrun import ConfigurationError
from evrun.server.api.faults.schedule import operation_of
from evrun.server.api.routes import OPERATIONS
from evrun.testing import (
    Delay,
    Drop,
    Duplicate,
    Faults,
    InvalidScheduleError,
    Rule,
    Schedule,
    Status,
    Truncate,
    read_schedule,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUMBERS = "expected a whole number from 1 up, or a list of them."
SECONDS = "expected a number from 0 to 86400."
EVERYTHING = """
seed = 7

[[fault]]
kind = "drop"
when = "after"
operation = "Evaluations_log"
nth = [1, 3]

[[fault]]
kind = "status"
status = 503
retry_after = 1
method = "POST"
probability = 0.25

[[fault]]
kind = "delay"
seconds = 2.5
path = "/v4/evaluations/*/log"
nth = 2

[[fault]]
kind = "duplicate"

[[fault]]
kind = "truncate"
keep = 10
"""


@pytest.mark.parametrize(
    ("kind", "given", "more", "message"),
    [
        (Status, 200, {}, "status=200: expected a whole number from 400 to 599."),
        (Status, True, {}, "status=True: expected a whole number from 400 to 599."),
        (Status, 503, {"retry_after": -1}, "retry_after=-1: expected a whole number from 0 up."),
        (Delay, -1, {}, f"seconds=-1: {SECONDS}"),
        (Delay, "soon", {}, f"seconds='soon': {SECONDS}"),
        (Delay, math.nan, {}, f"seconds=nan: {SECONDS}"),
        (Delay, math.inf, {}, f"seconds=inf: {SECONDS}"),
        (Delay, 1e300, {}, f"seconds=1e+300: {SECONDS}"),
        (Drop, "now", {}, "when='now': expected 'before' or 'after'."),
        (Truncate, -1, {}, "keep=-1: expected a whole number from 0 up."),
        (
            Rule,
            "drop",
            {},
            "fault='drop': expected one of Status, Delay, Drop, Duplicate, Truncate.",
        ),
        (
            Rule,
            Drop(),
            {"operation": "Evaluation_log"},
            "operation='Evaluation_log': the contract has no such operation; "
            "did you mean Evaluations_log?",
        ),
        (
            Rule,
            Drop(),
            {"operation": "x"},
            "operation='x': the contract has no such operation.",
        ),
        (
            Rule,
            Drop(),
            {"method": "post"},
            "method='post': expected 'DELETE' or 'GET' or 'PATCH' or 'POST'.",
        ),
        (
            Rule,
            Drop(),
            {"path": "evaluations"},
            "path='evaluations': expected a path such as /v4/evaluations/*/log.",
        ),
        (Rule, Drop(), {"nth": 0}, f"nth=0: {NUMBERS}"),
        (Rule, Drop(), {"nth": [1, "2"]}, f"nth=[1, '2']: {NUMBERS}"),
        (Rule, Drop(), {"nth": "12"}, f"nth='12': {NUMBERS}"),
        (Rule, Drop(), {"nth": []}, f"nth=[]: {NUMBERS}"),
        (Rule, Drop(), {"probability": 2}, "probability=2: expected a number from 0 to 1."),
        (Schedule, [Drop()], {}, "rules=Drop(when='before'): expected rules only."),
        (Schedule, [], {"seed": "x"}, "seed='x': expected a whole number from 0 up."),
        (Faults, "x", {}, "schedule='x': expected a Schedule, as read_schedule(FILE) returns."),
        (Faults, "", {}, "schedule='': expected a Schedule, as read_schedule(FILE) returns."),
    ],
)
def test_what_cannot_be_done_is_refused(
    kind: Callable[..., object], given: Any, more: Any, message: str
) -> None:
    """The message names the field, the value and what would do; it is a configuration error."""
    with pytest.raises(ConfigurationError) as caught:
        kind(given, **more)
    assert str(caught.value) == message


def test_the_error_pickles() -> None:
    """With the key that it is about."""
    with pytest.raises(InvalidScheduleError) as caught:
        Status(1)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(copy), copy.key) == (str(caught.value), "status")


def test_a_file_and_python_say_the_same(tmp_path: Path) -> None:
    """Every kind and every way to choose, as TOML and as values."""
    file = tmp_path / "faults.toml"
    file.write_text(EVERYTHING)
    assert read_schedule(file) == Schedule(
        [
            Rule(Drop("after"), operation="Evaluations_log", nth=[1, 3]),
            Rule(Status(503, retry_after=1), method="POST", probability=0.25),
            Rule(Delay(2.5), path="/v4/evaluations/*/log", nth=2),
            Rule(Duplicate()),
            Rule(Truncate(10)),
        ],
        seed=7,
    )


def test_a_rule_says_what_it_does(tmp_path: Path) -> None:
    """One line for each, in a server's health and on its standard error."""
    file = tmp_path / "faults.toml"
    file.write_text(EVERYTHING)
    assert Faults(read_schedule(file)).described() == [
        "drop after the commit: operation=Evaluations_log nth=1,3",
        "status 503, Retry-After 1 before the commit: method=POST probability=0.25",
        "delay of 2.5 s before the commit: path=/v4/evaluations/*/log nth=2",
        "duplicate delivery: every request",
        "body truncated to 10 bytes: every request",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "Invalid value (at end of document)."),
        ("seeds = 1", "line 1, seeds: unknown here; expected seed and [[fault]]."),
        ("\nseed = -1", "line 2, seed=-1: expected a whole number from 0 up."),
        ("fault = 1", "line 1, fault: expected tables, each as [[fault]]."),
        ("[fault]\nkind = 'drop'", "fault: expected tables, each as [[fault]]."),
        (
            "[[fault]]\nnth = 1",
            "line 1, fault 1: kind is missing: one of status, delay, drop, duplicate, truncate.",
        ),
        (
            "[[fault]]\nkind = 'crash'",
            "line 2, fault 1: kind='crash': expected one of status, delay, drop, duplicate, "
            "truncate.",
        ),
        (
            "[[fault]]\nkind = [1]",
            "line 2, fault 1: kind=[1]: expected one of status, delay, drop, duplicate, truncate.",
        ),
        (
            "[[fault]]\nkind = 'status'",
            "line 1, fault 1: status is missing: status needs it.",
        ),
        (
            "[[fault]]\nkind = 'drop'\n\n[[fault]]\nkind = 'drop'\n# to come\nkeep = 1\n",
            "line 7, fault 2: keep: unknown; drop takes when, operation, method, path, nth, "
            "probability.",
        ),
        (
            "[[fault]]\nkind = 'drop'\nwhen = 'now'",
            "line 3, fault 1: when='now': expected 'before' or 'after'.",
        ),
        (
            "[[fault]]\nkind = 'drop'\n[[fault]]\nkind = 'delay'\nseconds = 1\n'nth' = 0",
            "line 6, fault 2: nth=0: expected a whole number from 1 up, or a list of them.",
        ),
        (
            "fault = [{kind = 'drop', nth = 1.5}]",
            "fault 1: nth=1.5: expected a whole number from 1 up, or a list of them.",
        ),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file, the line, the fault and the key."""
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(InvalidScheduleError) as caught:
        read_schedule(file)
    separator = ":" if text == "seed = " else ","
    assert str(caught.value) == f"{file}{separator} {message}"


@pytest.mark.parametrize("text", ["", "seed = 7\n", "fault = []\n", "# [[fault]]\n"])
def test_a_file_without_a_fault_is_refused(tmp_path: Path, text: str) -> None:
    """Whoever asks for faults and plans none has made a mistake."""
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(InvalidScheduleError) as caught:
        read_schedule(file)
    assert str(caught.value) == f"{file}: no fault is planned. Write a [[fault]]."


def test_what_is_no_schedule_is_not_followed() -> None:
    """It is refused at once, and the one before is followed on."""
    faults = Faults(Schedule([Rule(Drop())]))
    with pytest.raises(InvalidScheduleError, match="schedule='faults.toml': expected a Schedule"):
        faults.follow("faults.toml")  # type: ignore[arg-type]
    assert faults.described() == ["drop before the commit: every request"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is named, with the reason."""
    with pytest.raises(InvalidScheduleError) as caught:
        read_schedule(tmp_path / "none.toml")
    name = tmp_path / "none.toml"
    assert str(caught.value) == f"{name}: cannot be read (No such file or directory)."


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """As one that cannot be read."""
    file = tmp_path / "faults.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidScheduleError, match=r"faults\.toml: cannot be read \('utf-8' codec"):
        read_schedule(file)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_known_by_its_address(name: str) -> None:
    """A request's method and path lead back to the operation, and to no other."""
    operation = OPERATIONS[name]
    path = "/v4" + operation.path.replace("{", "x_").replace("}", "")
    assert operation_of(operation.method, path) == name
    assert operation_of("PUT", path) is None


LOG = ("POST", "/v4/evaluations/evrun_1/log")
RESULT = ("POST", "/v4/evaluations/evrun_1/result")


def met(faults: Faults, *requests: tuple[str, str]) -> list[object]:
    """Return the faults that requests meet, one after the other."""
    return [faults.next(*request) for request in requests]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, (True, True, True)),
        ({"operation": "Evaluations_log"}, (True, False, False)),
        ({"method": "GET"}, (False, False, True)),
        ({"path": "/v4/evaluations/*"}, (True, True, False)),
        ({"path": "*/log", "method": "GET"}, (False, False, False)),
        ({"nth": 2}, (False, True, False)),
        ({"nth": (1, 3)}, (True, False, True)),
        ({"nth": 1, "operation": "Evaluations_result"}, (False, True, False)),
        ({"probability": 0}, (False, False, False)),
        ({"probability": 1}, (True, True, True)),
        ({"probability": 1, "nth": range(2, 4)}, (False, True, True)),
    ],
)
def test_a_rule_chooses(chosen: Any, expected: tuple[bool, ...]) -> None:
    """Everything that is given must hold; the rest pass."""
    faults = Faults()
    faults.plan(Rule(Drop(), **chosen))
    got = met(faults, LOG, RESULT, ("GET", "/v4/projects"))
    assert tuple(each is not None for each in got) == expected


def test_the_first_rule_that_takes_a_request_decides() -> None:
    """The others count it all the same, so that `nth` means what it says."""
    faults = Faults()
    faults.plan(Rule(Drop(), nth=1), Rule(Duplicate(), nth=(1, 2)))
    assert met(faults, LOG, LOG, LOG) == [Drop(), Duplicate(), None]


def test_chance_is_the_same_each_time() -> None:
    """The seed settles which requests are chosen; another seed chooses others."""
    rule = Rule(Drop(), probability=0.5)

    def chosen(seed: int) -> list[object]:
        faults = Faults()
        faults.plan(rule, seed=seed)
        return met(faults, *[LOG] * 200)

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert 60 < chosen(1).count(Drop()) < 140


def test_chance_does_not_depend_on_other_requests() -> None:
    """What else is asked in between moves nothing: the n-th log meets what it met."""
    faults = Faults()
    logs = Rule(Drop(), operation="Evaluations_log", probability=0.5)
    faults.plan(logs, Rule(Duplicate(), operation="Evaluations_result", probability=0.5))
    alone = met(faults, *[LOG] * 50)
    faults.follow(faults.schedule)
    mixed = met(faults, *[LOG, RESULT] * 50)
    assert mixed[::2] == alone


def test_a_new_plan_begins_anew() -> None:
    """Counting starts at one; what happened stays known."""
    faults = Faults()
    faults.plan(Rule(Drop(), nth=1))
    assert met(faults, LOG, LOG) == [Drop(), None]
    faults.plan(Rule(Drop(), nth=1))
    assert met(faults, LOG) == [Drop()]
    faults.clear()
    assert met(faults, LOG) == [None]
    assert [each.number for each in faults.happened] == [1, 1]
