"""How many logs a client sends to a server in a second: by single calls, and many at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _benchmark.case import Figure, Inputs, seconds
from _benchmark.runs import start_run
from evrun import Evrun

if TYPE_CHECKING:
    from collections.abc import Iterator

SINGLE = 200
MANY = 4000


def many_logs(inputs: Inputs) -> list[Figure]:
    """Log outputs of 500 bytes to the embedded server, durably; the ratio is of the same run."""
    with tempfile.TemporaryDirectory() as folder, Evrun.local(Path(folder, "evals.db")) as client:
        run = start_run(client)
        bound = client.run(run.id)

        def items(number: int) -> Iterator[dict[str, Any]]:
            for n in range(number):
                yield {
                    "datapoint_id": run.datapoint_ids[n % len(run.datapoint_ids)],
                    "log": {"output": "x" * 500},
                }

        def singly() -> None:
            for item in items(SINGLE):
                bound.log(item["datapoint_id"], log=item["log"])

        one = SINGLE / seconds(singly, inputs.repeat)
        many = MANY / seconds(lambda: bound.log_many(items(MANY)), inputs.repeat)
    return [
        Figure("logs: single calls", one, "/s"),
        Figure("logs: many at once", many, "/s"),
        Figure("logs: many at once against single calls", many / one, "x", at_least=3),
    ]
