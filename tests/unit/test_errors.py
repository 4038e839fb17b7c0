from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import pytest

from evrun import errors, logged
from evrun._base.redaction import SentRequest
from evrun.errors import EvrunError
from evrun.ids import LogId

GET = SentRequest(method="GET", url="http://h/v4", headers=(), body="", body_size=0)
POST = SentRequest(
    method="POST",
    url="http://h/v4/evaluations/evrun_1/log?a=1",
    headers=(("x-api-key", "***"), ("content-type", "application/json")),
    body='{"output": "it\'s"}',
    body_size=18,
)

RESULT = logged.LoggedItems((logged.LoggedItem(index=0, again={"log": {}}),))

SAMPLES: list[EvrunError] = [
    errors.ConfigurationError("no key"),
    errors.InvalidRequestError("bad", parameter="log.output"),
    errors.InvalidIdError("bad", parameter="log_id", value="x", expected="a log id"),
    logged.InvalidItemError("bad", parameter="items[0].output", item={"output": "x"}, shown="{…}"),
    logged.LogsFailedError("1 of 1", result=RESULT),
    logged.LogsStoppedError("stopped", result=RESULT),
    errors.ConnectError("refused", request=GET),
    errors.PoolTimeoutError("busy", request=GET),
    errors.ConnectTimeoutError("slow", request=GET),
    errors.RequestTimeoutError("slow", request=POST),
    errors.DisconnectedError("gone", request=POST),
    errors.AmbiguousTimeoutError("lost", request=POST),
    errors.AmbiguousDisconnectError("lost", request=POST),
    errors.AmbiguousServerError("lost", request=POST, status=500),
    errors.DecodeError("odd", status=201, body="<h1>", request_id="r", request=POST),
]


def _unprocessable() -> errors.UnprocessableEntityError:
    error = errors.UnprocessableEntityError(
        "422", status=422, body="{}", request_id="r1", request=POST
    )
    error.fields = (errors.FieldError(("body", "log", 0), "bad", "value_error"),)
    error.retry_after = 2.5
    return error


ALL = [*SAMPLES, _unprocessable()]


def _state(error: EvrunError) -> tuple[type, tuple[Any, ...], dict[str, Any]]:
    return type(error), error.args, vars(error)


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickle_and_copy(error: EvrunError) -> None:
    """An error keeps its type, its message and its data wherever it is sent."""
    error.add_note("while logging row 7")
    pickled = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    for other in (pickled, copy.copy(error), copy.deepcopy(error)):
        assert _state(other) == _state(error)
        assert str(other) == str(error)


def test_an_error_crosses_processes() -> None:
    """A worker's error reaches its parent with all that it knows."""
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(errors.InvalidIdError) as caught,
    ):
        pool.apply(LogId, ("pr_1",))
    assert caught.value.value == "pr_1"


def test_every_class_is_drawn_in_the_tree() -> None:
    """The tree at the top of the module is complete, and is exported."""

    def below(cls: type[EvrunError]) -> set[type[EvrunError]]:
        return {cls}.union(*(below(child) for child in cls.__subclasses__()))

    ours = {cls for cls in below(EvrunError) if cls.__module__ in {"evrun.errors", "evrun.logged"}}
    above = {logged.InvalidItemError, logged.LogsFailedError, logged.LogsStoppedError}
    assert {cls.__name__ for cls in ours - above} | {"FieldError", "MissedRecordsWarning"} == set(
        errors.__all__
    )
    drawn = f" {errors.__doc__}".replace("\n", " ")
    assert all(f" {cls.__name__} " in drawn for cls in ours)


@pytest.mark.parametrize(
    ("cls", "sent"),
    [
        (errors.ConnectError, False),
        (errors.ConnectTimeoutError, False),
        (errors.PoolTimeoutError, False),
        (errors.RequestTimeoutError, True),
        (errors.DisconnectedError, True),
    ],
)
def test_a_transport_error_says_whether_the_request_may_have_arrived(
    cls: type[errors.TransportError], sent: bool
) -> None:
    """Whoever decides about sending again needs to know one thing."""
    assert cls("x", request=GET).sent is sent


def test_errors_can_be_caught_as_the_standard_ones() -> None:
    """A bad argument is a `ValueError`, a time limit a `TimeoutError`."""
    assert issubclass(errors.InvalidIdError, ValueError)
    assert issubclass(errors.PoolTimeoutError, TimeoutError)


@pytest.mark.parametrize(
    ("cls", "plain"),
    [
        (errors.AmbiguousTimeoutError, errors.RequestTimeoutError),
        (errors.AmbiguousDisconnectError, errors.DisconnectedError),
        (errors.AmbiguousServerError, errors.ServerError),
    ],
)
def test_an_unknown_outcome_is_caught_by_either_name(
    cls: type[errors.EvrunError], plain: type[errors.EvrunError]
) -> None:
    """Whoever asks what happened finds it, and whoever asks whether work was done finds that."""
    assert issubclass(cls, plain)
    assert issubclass(cls, errors.UnknownOutcomeError)
    assert not issubclass(plain, errors.UnknownOutcomeError)


def test_a_request_can_be_sent_again_from_a_shell() -> None:
    """`as_curl` quotes what a shell would read, and holds no key."""
    error = errors.DisconnectedError("gone", request=POST)
    assert error.as_curl() == (
        "curl -X POST 'http://h/v4/evaluations/evrun_1/log?a=1' "
        '-H "X-API-KEY: $EVRUN_API_KEY" '
        "-H 'content-type: application/json' "
        """--data-raw '{"output": "it'"'"'s"}'"""
    )


def test_a_complaint_of_a_422_reads_as_a_path() -> None:
    """A field error prints as the place and what is wrong there."""
    error = errors.FieldError(("body", "log", "messages", 0, "role"), "not a role", "enum")
    assert str(error) == "body.log.messages.0.role: not a role"
