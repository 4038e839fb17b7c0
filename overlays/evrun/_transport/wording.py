"""What our server says, in the words of this client: an operation of the contract becomes a call.

The server speaks HTTP to programs of every kind, so its sentences name operations by their id.
"""

from __future__ import annotations

import re
from typing import Final

CALLS: Final = {
    "Datasets_create": "client.datasets.create(…)",
    "Datasets_createDatapoint": "client.datasets.create_datapoints(…)",
    "Datasets_list": "client.datasets.list()",
    "Evaluations_addEvaluators": "client.evaluations.add_evaluators(…)",
    "Evaluations_get": "client.evaluations.get(…)",
    "Evaluations_list": "client.evaluations.list(…)",
    "Evaluations_log": "client.evaluations.log(…)",
    "Evaluations_result": "client.evaluations.result(…)",
    "Evaluations_updateStatus": "client.run(…).start()",  # named where a run must be running
    "ModelConfigs_get": "client.model_configs.get(…)",
    "ModelConfigs_register": "client.model_configs.register(…)",
    "Projects_create": "client.projects.create(…)",
    "Projects_get": "client.projects.get(…)",
}
"""The operations that sentences name. A rule test holds it against the server's sources."""

_OPERATION: Final = re.compile(r"\b[A-Z][A-Za-z]+_[a-z][A-Za-z]+\b", re.ASCII)


def with_calls(said: str) -> str:
    """Return a server's sentence with calls in place of the operations that it names."""
    return _OPERATION.sub(lambda found: CALLS.get(found[0], found[0]), said)
