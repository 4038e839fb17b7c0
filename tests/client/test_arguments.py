"""Arguments that the contract's examples do not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import Evrun, NotFoundError
from evrun.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

RUN: dict[str, Any] = {
    "project_id": "pr_1",
    "config_id": "config_1",
    "dataset_id": "evts_1",
    "evaluator_ids": ["evfn_1"],
}
CREATED = {key: RUN[key] for key in ("config_id", "dataset_id", "evaluator_ids")}
EVALUATOR: dict[str, Any] = {
    "name": "e",
    "description": "",
    "arguments_type": "target_free",
    "return_type": "number",
}
VERDICT = {"log_id": "data_1", "evaluator_id": "evfn_1"}


def client(api: FakeApi) -> Evrun:
    return Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client())


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda evrun: evrun.evaluations.create(**RUN), {**CREATED, "hl_generated": False}),
        (
            lambda evrun: evrun.evaluations.create(
                **RUN, hl_generated=True, name="n", provider_api_keys={"openai": "sk"}
            ),
            {
                **CREATED,
                "hl_generated": True,
                "name": "n",
                "provider_api_keys": {"openai": "sk"},
            },
        ),
        (lambda evrun: evrun.evaluators.create(**EVALUATOR), {**EVALUATOR, "type": "external"}),
        (
            lambda evrun: evrun.evaluators.create(
                **EVALUATOR, type="llm", model_config={"model": "m", "temperature": 0}
            ),
            {**EVALUATOR, "type": "llm", "model_config": {"model": "m", "temperature": 0}},
        ),
        (
            lambda evrun: evrun.evaluators.update("evfn_1", code="def judge(): ..."),
            {"code": "def judge(): ..."},
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, result=False),
            {**VERDICT, "result": False},
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, result=0),
            {**VERDICT, "result": 0},
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, result=np.bool_(True)),  # noqa: FBT003 - a verdict
            {**VERDICT, "result": True},
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, result=np.float32(0.5)),
            {**VERDICT, "result": 0.5},
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, error=""),
            {**VERDICT, "error": ""},
        ),
        (
            lambda evrun: evrun.logs.update("data_1", output="", duration=0),
            {"output": "", "duration": 0},
        ),
    ],
)
def test_what_is_given_is_sent_and_nothing_else(
    call: Callable[[Evrun], object], body: dict[str, Any]
) -> None:
    """False, 0 and an empty text are values; what is left out stays out."""
    api = FakeApi(404, {"detail": "There is nothing."})
    with client(api) as evrun, pytest.raises(NotFoundError):
        call(evrun)
    assert api.sent == body
    assert {key: type(value) for key, value in api.sent.items()} == {
        key: type(value) for key, value in body.items()
    }


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT),
            "exactly one of result=… (a bool, int or float) and error=… (a text)",
        ),
        (
            lambda evrun: evrun.evaluations.result("evrun_1", **VERDICT, result=True, error="e"),
            "exactly one of result",
        ),
        (
            lambda evrun: evrun.evaluations.create(**RUN, provider_api_keys={"opnai": "sk"}),
            "unknown field 'opnai'; the nearest known one is 'openai'",
        ),
        (
            lambda evrun: evrun.datasets.create_datapoints("evts_1", datapoints={"inputs": {}}),
            "datapoints: got one mapping, expected a list. Put brackets around it.",
        ),
        (
            lambda evrun: evrun.datasets.create_datapoints("evts_1", datapoints=[{}, {"input": 1}]),
            "datapoints[1]: unknown field 'input'; the nearest known one is 'inputs'",
        ),
        (
            lambda evrun: evrun.evaluators.create(**EVALUATOR, model_config={"temperature": 0}),
            "model_config: 'model' is required.",
        ),
        (
            lambda evrun: evrun.evaluations.add_evaluators("evrun_1", evaluator_ids="evfn_1"),
            "evaluator_ids: got 'evfn_1' (str), expected a list. Put brackets around",
        ),
    ],
)
def test_a_slip_is_named_before_anything_is_sent(
    call: Callable[[Evrun], object], sentence: str
) -> None:
    """The message says which argument, and what to write instead."""
    api = FakeApi()
    with client(api) as evrun, pytest.raises(InvalidRequestError) as caught:
        call(evrun)
    assert sentence in str(caught.value)
    assert api.requests == []


@pytest.mark.parametrize(
    "call",
    [
        lambda evrun: evrun.evaluations.list("pr_1", statusfilter=["running"]),
        lambda evrun: evrun.logs.iter_all("pr_1", cursor="c"),
        lambda evrun: evrun.projects.iter_all(page=1),
    ],
)
def test_a_filter_that_there_is_not_is_a_type_error(call: Callable[[Evrun], object]) -> None:
    """A misspelt filter is refused, as Python refuses it: it would let everything pass."""
    with client(FakeApi()) as evrun, pytest.raises(TypeError):
        call(evrun)
