"""The vendor's v4 operations that this server does not have, and what to use instead."""

from __future__ import annotations

from typing import Final

from starlette.routing import compile_path

from evrun.server.api.operations import PREFIX

_GENERATE: Final = (
    "This server calls no model: call your model's provider yourself, and log what it answers with "
    "Evaluations_log."
)
_DEPLOY: Final = (
    "This server deploys nothing: keep the config's id in your program, and read it with "
    "ModelConfigs_get."
)
_KEEP: Final = (
    "What runs use is not deleted by requests. `evrun db prune` deletes runs that ended long ago, "
    "with their logs and results."
)
_ROWS: Final = (
    "Datasets only grow: make another with Datasets_create, and add the rows that you want with "
    "Datasets_createDatapoint."
)
_PROMPT_FILES: Final = (
    "Configs are kept as JSON: ModelConfigs_get returns one, and ModelConfigs_register takes it."
)
_FEEDBACK: Final = (
    "Send feedback as a field of the log in Evaluations_log, or judge the log with "
    "Evaluations_result. Any type of feedback is taken."
)

OPERATIONS: Final = (
    ("POST", "/chat", "Chats_create", _GENERATE),
    ("POST", "/chat-deployed", "Chats_createDeployed", _GENERATE),
    ("POST", "/chat-experiment", "Chats_createExperiment", _GENERATE),
    ("POST", "/chat-model-config", "Chats_createModelConfig", _GENERATE),
    ("POST", "/completion", "Completions_create", _GENERATE),
    ("POST", "/completion-deployed", "Completions_createDeployed", _GENERATE),
    ("POST", "/completion-experiment", "Completions_createExperiment", _GENERATE),
    ("POST", "/completion-model-config", "Completions_createModelConfig", _GENERATE),
    ("DELETE", "/datapoints", "Datapoints_delete", _ROWS),
    ("PATCH", "/datapoints/{id}", "Datapoints_update", _ROWS),
    ("DELETE", "/datasets/{id}", "Datasets_delete", _KEEP),
    ("PATCH", "/datasets/{id}", "Datasets_update", _ROWS),
    (
        "GET",
        "/projects/{project_id}/datasets",
        "Datasets_listAllForProject",
        "Datasets_list returns the datasets of all projects, each with its project_id.",
    ),
    ("POST", "/feedback", "Feedback_feedback", _FEEDBACK),
    ("POST", "/logs", "Logs_log", "A log belongs to a run: log it with Evaluations_log."),
    ("DELETE", "/logs", "Logs_delete", _KEEP),
    ("POST", "/model-configs/deserialize", "ModelConfigs_deserialize", _PROMPT_FILES),
    ("POST", "/model-configs/serialize", "ModelConfigs_serialize", _PROMPT_FILES),
    ("POST", "/model-configs/{id}/export", "ModelConfigs_export", _PROMPT_FILES),
    ("DELETE", "/projects/{id}", "Projects_delete", _KEEP),
    (
        "PATCH",
        "/projects/{id}",
        "Projects_update",
        "A project keeps its name: make another with Projects_create.",
    ),
    (
        "GET",
        "/projects/{id}/active-config",
        "Projects_getActiveConfig",
        "Projects_get returns a project with its active_config.",
    ),
    ("DELETE", "/projects/{id}/active-config", "Projects_deactivateConfig", _DEPLOY),
    ("DELETE", "/projects/{id}/active-experiment", "Projects_deactivateExperiment", _DEPLOY),
    (
        "GET",
        "/projects/{id}/configs",
        "Projects_listConfigs",
        "Evaluations_list returns the config of each run of a project.",
    ),
    ("GET", "/projects/{id}/deployed-configs", "Projects_listDeployedConfigs", _DEPLOY),
    (
        "POST",
        "/projects/{id}/export",
        "Projects_export",
        "`evrun export PROJECT` writes a project to a file.",
    ),
    ("POST", "/projects/{id}/feedback-types", "Projects_createFeedbackType", _FEEDBACK),
    ("PATCH", "/projects/{id}/feedback-types", "Projects_updateFeedbackTypes", _FEEDBACK),
    ("PATCH", "/projects/{project_id}/deploy-config", "Projects_deployConfig", _DEPLOY),
    (
        "DELETE",
        "/projects/{project_id}/deployed-config/{environment_id}",
        "Projects_deleteDeployedConfig",
        _DEPLOY,
    ),
)
"""Method, path, operationId and what to use instead. The first three are facts of upstream's
document; the last may name operations that are served."""

_FOUND: Final = tuple(
    (method, compile_path(PREFIX + path)[0], operation, instead)
    for method, path, operation, instead in OPERATIONS
)


def sentence(method: str, path: str) -> str | None:
    """Return the message for a request of such an operation, None for any other."""
    for known, pattern, operation, instead in _FOUND:
        if method == known and pattern.match(path):
            return f"{operation} of the vendor's v4 API is not served here. {instead}"
    return None
