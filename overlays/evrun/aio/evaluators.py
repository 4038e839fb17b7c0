# Derived by scripts/derive_async.py from overlays/evrun/resources/evaluators.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Evaluators: who judges the logs of a run.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.resources.evaluators import EvaluatorCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.ids import EvaluatorId, PlainStr
    from evrun.results import ArgumentsType, Evaluator, EvaluatorKind, ReturnType
    from evrun_api import AuthenticatedClient


class AsyncEvaluators:
    """The operations on evaluators: `client.evaluators`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = EvaluatorCalls(client)

    async def create(
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
        return await self._calls.create(
            name=name,
            description=description,
            arguments_type=arguments_type,
            return_type=return_type,
            type=type,
            code=code,
            model_config=model_config,
        ).run_async()

    async def get(self, evaluator_id: EvaluatorId | PlainStr) -> Evaluator:
        """Return an evaluator."""
        return await self._calls.get(evaluator_id).run_async()

    async def list(self) -> tuple[Evaluator, ...]:
        """Return all evaluators of the organisation."""
        return await self._calls.list().run_async()

    async def update(
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
        return await self._calls.update(
            evaluator_id,
            name=name,
            description=description,
            arguments_type=arguments_type,
            return_type=return_type,
            code=code,
            model_config=model_config,
        ).run_async()

    async def delete(self, evaluator_id: EvaluatorId | PlainStr) -> None:
        """Delete an evaluator."""
        return await self._calls.delete(evaluator_id).run_async()
