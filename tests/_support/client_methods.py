"""Either client under one handle: methods by name, and the contract's examples for them."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from _summary import wiring
from _support.contract_examples import STORY, examples, request
from _support.served import contract_operations
from evrun import AsyncEvrun, EvaluatorSort, Evrun, FeedbackSort

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
METHODS = {name: each.methods for name, each in wiring.find(ROOT, [*contract_operations()]).items()}
"""The overlay's methods for each operation, such as `logs.list` and `logs.iter_all`."""


class Asking:
    """Calls an `Evrun`, or an `AsyncEvrun` on a loop of its own."""

    def __init__(self, client: Evrun | AsyncEvrun) -> None:
        self.client: Any = client
        self._loop = asyncio.Runner()

    def method(self, name: str) -> Any:
        owner, _, name = name.rpartition(".")
        return getattr(getattr(self.client, owner), name)

    def answer(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return what the method answers; all records of an iteration."""

        async def wait(called: Any) -> Any:
            if inspect.isasyncgen(called):
                return [each async for each in called]
            return await called

        called = method(*args, **kwargs)
        if inspect.isgenerator(called):
            return list(called)
        awaited = inspect.isasyncgen(called) or inspect.isawaitable(called)
        return self._loop.run(wait(called)) if awaited else called

    def arguments(
        self, name: str, method: str, given: dict[str, Any], body: Any
    ) -> inspect.BoundArguments:
        """Return an example's parameters and body as the method takes them."""
        signature = inspect.signature(self.method(method))
        if name == "ModelConfigs_register":
            return signature.bind(body)
        if method == "datasets.create_datapoints":
            body = {"datapoints": body if isinstance(body, list) else [body]}
        known = {**given, **(body or {})}
        if name == "Evaluations_list":
            known["evaluation_ids"] = known.pop("id")
        if "start_date" in known:
            known["start_date"] = date.fromisoformat(known["start_date"])
        if "sort" in known:
            known["sort"] = [_sort(each) for each in known["sort"]]
        if ".iter_" in method:
            known = {key: known[key] for key in known if key not in {"page", "size"}}
        first = next(iter(signature.parameters.values()), None)
        if first is None or first.kind is first.KEYWORD_ONLY:
            return signature.bind(**known)
        # One name per resource, where the path says `id` here and there.
        return signature.bind(known.pop("id" if "id" in known else first.name), **known)

    def close(self) -> None:
        if isinstance(self.client, AsyncEvrun):
            self._loop.run(self.client.aclose())
        else:
            self.client.close()
        self._loop.close()


def _sort(column: str) -> Any:
    parts: tuple[str, str, Any] = column.rpartition(".")
    name, _, order = parts
    for prefix, kind in (("evaluator-", EvaluatorSort), ("feedback-", FeedbackSort)):
        if name.startswith(prefix):
            return kind(name.removeprefix(prefix), order)
    return column


def carriers(name: str, example: str | None) -> tuple[str, ...]:
    """Return the methods that carry an example of the operation."""
    from_logs = example == "from_logs"
    return tuple(each for each in METHODS[name] if each.endswith("_from_logs") == from_logs)


def calls(name: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield every method of the operation with the parameters and the body of each example."""
    for example in (example for each, example in STORY if each == name):
        for method in carriers(name, example):
            yield method, *request(name, example)


def as_json(result: Any) -> Any:
    """Return a result as it stood in the answer."""
    if attrs.has(type(result)):
        names = attrs.fields_dict(type(result))
        return {name: as_json(getattr(result, name)) for name in names}
    if isinstance(result, dict):
        return {key: as_json(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [as_json(each) for each in result]
    if isinstance(result, datetime):
        assert result.tzinfo == UTC
        return as_json(result.isoformat())
    return result.replace("+00:00", "Z") if isinstance(result, str) else result


def shown(name: str, example: str | None) -> Any:
    """Return the answer that the contract shows; None for a success without a body."""
    responses = contract_operations()[name][2]["responses"]
    (success,) = (each for status, each in responses.items() if status.startswith("2"))
    content = success.get("content")
    return examples(content["application/json"])[example] if content else None
