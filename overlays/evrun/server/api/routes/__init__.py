"""From requests to the store: one module per resource, one function per operation."""

from evrun.server.api.operations import Operation
from evrun.server.api.routes import (
    datasets,
    evaluations,
    evaluators,
    logs,
    model_configs,
    projects,
    sessions,
)

OPERATIONS: dict[str, Operation] = {
    operation.id: operation
    for module in (
        datasets,
        evaluations,
        evaluators,
        logs,
        model_configs,
        projects,
        sessions,
    )
    for operation in module.routes.operations
}
"""Every operation that the server answers, by operationId."""
