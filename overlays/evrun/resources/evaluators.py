"""Evaluators: who judges the logs of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun._calls import bodies
from evrun._calls.arguments import given
from evrun._calls.call import Call, bind
from evrun.ids import EvaluatorId, PlainStr
from evrun.results import Evaluator
from evrun_api.api.evaluators import (
    evaluators_create,
    evaluators_delete,
    evaluators_get,
    evaluators_list,
    evaluators_update,
)
from evrun_api.models import (
    CreateEvaluatorRequest,
    ModelConfigCompletionRequest,
    UpdateEvaluatorRequest,
)
from evrun_api.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.results import ArgumentsType, EvaluatorKind, ReturnType
    from evrun_api import AuthenticatedClient
    from evrun_api.types import Unset


class EvaluatorCalls:
    """One method for each operation; `Evaluators` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def create(
        self,
        *,
        name: str,
        description: str,
        arguments_type: ArgumentsType,
        return_type: ReturnType,
        type: EvaluatorKind,
        code: str | None,
        model_config: Mapping[str, Any] | None,
    ) -> Call[Evaluator]:
        return bind(
            Evaluator,
            evaluators_create.sync_detailed,
            evaluators_create.asyncio_detailed,
            client=self._client,
            body=bodies.checked(
                CreateEvaluatorRequest(
                    name=name,
                    description=description,
                    arguments_type=arguments_type,
                    return_type=return_type,
                    type_=type,
                    code=given(code),
                    model_config=_model_config(model_config),
                )
            ),
        )

    def get(self, evaluator_id: object) -> Call[Evaluator]:
        return bind(
            Evaluator,
            evaluators_get.sync_detailed,
            evaluators_get.asyncio_detailed,
            EvaluatorId.parse(evaluator_id, "evaluator_id"),
            client=self._client,
        )

    def list(self) -> Call[tuple[Evaluator, ...]]:
        return bind(
            tuple[Evaluator, ...],
            evaluators_list.sync_detailed,
            evaluators_list.asyncio_detailed,
            client=self._client,
        )

    def update(
        self,
        evaluator_id: object,
        *,
        name: str | None,
        description: str | None,
        arguments_type: ArgumentsType | None,
        return_type: ReturnType | None,
        code: str | None,
        model_config: Mapping[str, Any] | None,
    ) -> Call[Evaluator]:
        return bind(
            Evaluator,
            evaluators_update.sync_detailed,
            evaluators_update.asyncio_detailed,
            EvaluatorId.parse(evaluator_id, "evaluator_id"),
            client=self._client,
            body=bodies.checked(
                UpdateEvaluatorRequest(
                    name=given(name),
                    description=given(description),
                    arguments_type=given(arguments_type),
                    return_type=given(return_type),
                    code=given(code),
                    model_config=_model_config(model_config),
                )
            ),
        )

    def delete(self, evaluator_id: object) -> Call[None]:
        return bind(
            type(None),
            evaluators_delete.sync_detailed,
            evaluators_delete.asyncio_detailed,
            EvaluatorId.parse(evaluator_id, "evaluator_id"),
            client=self._client,
        )


def _model_config(value: Mapping[str, Any] | None) -> ModelConfigCompletionRequest | Unset:
    if value is None:
        return UNSET
    return bodies.body(ModelConfigCompletionRequest, value, {}, "model_config")


class Evaluators:
    """The operations on evaluators: `client.evaluators`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = EvaluatorCalls(client)

    def create(
        self,
        *,
        name: str,
        description: str,
        arguments_type: ArgumentsType,
        return_type: ReturnType,
        type: EvaluatorKind = "external",
        code: str | None = None,
        model_config: Mapping[str, Any] | None = None,
    ) -> Evaluator:
        """Create an evaluator.

        `external` (the default) and `human` verdicts come from outside, through
        `evaluations.result`. `code` and `model_config` are for evaluators that the vendor's
        platform runs; evrun's server refuses those.
        """
        return self._calls.create(
            name=name,
            description=description,
            arguments_type=arguments_type,
            return_type=return_type,
            type=type,
            code=code,
            model_config=model_config,
        ).run()

    def get(self, evaluator_id: EvaluatorId | PlainStr) -> Evaluator:
        """Return an evaluator."""
        return self._calls.get(evaluator_id).run()

    def list(self) -> tuple[Evaluator, ...]:
        """Return all evaluators of the organisation."""
        return self._calls.list().run()

    def update(
        self,
        evaluator_id: EvaluatorId | PlainStr,
        *,
        name: str | None = None,
        description: str | None = None,
        arguments_type: ArgumentsType | None = None,
        return_type: ReturnType | None = None,
        code: str | None = None,
        model_config: Mapping[str, Any] | None = None,
    ) -> Evaluator:
        """Change an evaluator; what is None stays as it is."""
        return self._calls.update(
            evaluator_id,
            name=name,
            description=description,
            arguments_type=arguments_type,
            return_type=return_type,
            code=code,
            model_config=model_config,
        ).run()

    def delete(self, evaluator_id: EvaluatorId | PlainStr) -> None:
        """Delete an evaluator."""
        return self._calls.delete(evaluator_id).run()
