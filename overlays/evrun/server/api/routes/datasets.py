"""Datasets and their datapoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from evrun.server.api.operations import NoParameters, Routes
from evrun.server.api.validation import as_sent
from evrun.server.store import datasets
from evrun.server.store.pages import Window
from evrun_models import (
    CreateDatapointRequest,
    CreateDatapointsByLogsRequest,
    CreateDatasetRequest,
    DatapointsGetParameters,
    DatasetsCreateDatapointParameters,
    DatasetsCreateParameters,
    DatasetsGetParameters,
    DatasetsListDatapointsParameters,
)

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


def _shape(body: Any) -> str:
    if isinstance(body, list):
        return "list"
    return "logs" if isinstance(body, dict) and "log_ids" in body else "one"


# The contract's `anyOf` as it is meant: tried in turn, every alternative would complain of a body
# that is wrong as one of them.
NewDatapoints = Annotated[
    Annotated[CreateDatapointsByLogsRequest, Tag("logs")]
    | Annotated[CreateDatapointRequest, Tag("one")]
    | Annotated[list[CreateDatapointRequest], Tag("list")],
    Discriminator(_shape),
]


@routes.write(
    "Datasets_create",
    "POST /projects/{project_id}/datasets",
    DatasetsCreateParameters,
    CreateDatasetRequest,
    status=201,
)
def create(scope: Scope, given: DatasetsCreateParameters, body: CreateDatasetRequest) -> Json:
    """Create a dataset in a project."""
    return datasets.create(scope, given.project_id, name=body.name, description=body.description)


@routes.read("Datasets_list", "/datasets", NoParameters)
def list_datasets(scope: Scope, _: NoParameters) -> list[Json]:
    """Return all datasets."""
    return datasets.list_all(scope)


@routes.read("Datasets_get", "/datasets/{id}", DatasetsGetParameters)
def get(scope: Scope, given: DatasetsGetParameters) -> Json:
    """Return a dataset."""
    return datasets.get(scope, given.id)


@routes.read(
    "Datasets_listDatapoints",
    "/datasets/{dataset_id}/datapoints",
    DatasetsListDatapointsParameters,
)
def list_datapoints(scope: Scope, given: DatasetsListDatapointsParameters) -> Json:
    """Return a page of a dataset's datapoints."""
    return datasets.list_datapoints(scope, given.dataset_id, Window.of(given))


@routes.write(
    "Datasets_createDatapoint",
    "POST /datasets/{dataset_id}/datapoints",
    DatasetsCreateDatapointParameters,
    NewDatapoints,
    status=201,
)
def create_datapoints(
    scope: Scope,
    given: DatasetsCreateDatapointParameters,
    body: CreateDatapointsByLogsRequest | CreateDatapointRequest | list[CreateDatapointRequest],
) -> list[Json]:
    """Add datapoints to a dataset: one, several, or one for each of some logs."""
    if isinstance(body, CreateDatapointsByLogsRequest):
        log_ids = body.log_ids
        return datasets.add_datapoints_from_logs(scope, given.dataset_id, log_ids)
    each = body if isinstance(body, list) else [body]
    return datasets.add_datapoints(scope, given.dataset_id, [as_sent(one) for one in each])


@routes.read("Datapoints_get", "/datapoints/{id}", DatapointsGetParameters)
def get_datapoint(scope: Scope, given: DatapointsGetParameters) -> Json:
    """Return a datapoint."""
    return datasets.get_datapoint(scope, given.id)
