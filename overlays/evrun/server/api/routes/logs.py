"""Logs."""

from __future__ import annotations

import re
from datetime import datetime  # noqa: TC003 - pydantic resolves it
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from evrun.server.api.operations import Routes
from evrun.server.api.validation import as_sent
from evrun.server.store import log_pages, logs
from evrun.server.store.pages import Window
from evrun_models import (
    LogsGetParameters,
    LogsListParameters,
    LogsUpdateByRefParameters,
    LogsUpdateParameters,
    UpdateLogRequest,
)

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


class LogsQuery(LogsListParameters):
    """The declared parameters, and those whose names carry a name, which OpenAPI cannot declare."""

    model_config = ConfigDict(extra="allow")

    # The contract's `date | datetime` would take midnight for a day, and lose its offset.
    start_date: datetime | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    end_date: datetime | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def named(self, pattern: re.Pattern[str]) -> dict[str, list[str]]:
        """Return the values of the parameters of this form, by the name that they carry."""
        extra = self.model_extra or {}
        return {match[1]: extra[key] for key in extra if (match := pattern.fullmatch(key))}


_FEEDBACK = re.compile(r"feedback-(.+)_filter")
_EVALUATOR = re.compile(r"evaluator-(evfn_[A-Za-z0-9_-]+)_filter")


@routes.read("Logs_list", "/logs", LogsQuery)
def list_logs(scope: Scope, given: LogsQuery) -> Json:
    """Return a page of a project's logs."""
    return log_pages.list_page(
        scope,
        given.project_id,
        log_pages.Filters(
            search=given.search,
            metadata_search=given.metadata_search,
            committed=given.version_status is None or given.version_status == "committed",
            start=given.start_date,
            end=given.end_date,
            sources=given.source_filter or (),
            models=given.model_filter or (),
            feedback=given.named(_FEEDBACK),
            verdicts=given.named(_EVALUATOR),
        ),
        sort=given.sort or (),
        window=Window.of(given),
    )


@routes.read("Logs_get", "/logs/{id}", LogsGetParameters)
def get(scope: Scope, given: LogsGetParameters) -> Json:
    """Return a log."""
    return logs.get(scope, given.id)


@routes.write("Logs_update", "PATCH /logs/{id}", LogsUpdateParameters, UpdateLogRequest, status=200)
def update(scope: Scope, given: LogsUpdateParameters, body: UpdateLogRequest) -> Json:
    """Change a log."""
    return logs.change(scope, given.id, as_sent(body))


@routes.write(
    "Logs_updateByRef", "PATCH /logs", LogsUpdateByRefParameters, UpdateLogRequest, status=200
)
def update_by_reference(
    scope: Scope, given: LogsUpdateByRefParameters, body: UpdateLogRequest
) -> Json:
    """Change the log that was sent with a reference."""
    return logs.change_by_reference(scope, given.reference_id, as_sent(body))
