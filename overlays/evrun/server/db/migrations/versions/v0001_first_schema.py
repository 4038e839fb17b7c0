"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0001"
down_revision = None
branch_labels = None
depends_on = None

# Bytewise comparison: PostgreSQL's default collations do not sort ids by age.
IDENTIFIER = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")
KEY = sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "organisations",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.Column("scope", sa.String(length=16), server_default="admin", nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_api_keys_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "evaluators",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("version_id", IDENTIFIER, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_evaluators_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluators")),
    )
    op.create_index(
        op.f("ix_evaluators_organisation_id"), "evaluators", ["organisation_id"], unique=False
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_idempotency_keys_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("organisation_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "model_configs",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("model", WORDS, nullable=False),
        sa.Column("name", WORDS),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_model_configs_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_configs")),
        sa.UniqueConstraint(
            "organisation_id", "sha256", name=op.f("uq_model_configs_organisation_id_sha256")
        ),
    )
    op.create_table(
        "sessions",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("reference_id", WORDS),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_sessions_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint(
            "organisation_id", "reference_id", name=op.f("uq_sessions_organisation_id_reference_id")
        ),
    )
    op.create_table(
        "evaluator_versions",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("evaluator_id", IDENTIFIER, nullable=False),
        sa.Column("arguments_type", sa.String(length=32), nullable=False),
        sa.Column("return_type", sa.String(length=32), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluator_id"],
            ["evaluators.id"],
            name=op.f("fk_evaluator_versions_evaluator_id_evaluators"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluator_versions")),
    )
    op.create_index(
        op.f("ix_evaluator_versions_evaluator_id"),
        "evaluator_versions",
        ["evaluator_id"],
        unique=False,
    )
    op.create_table(
        "projects",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("searchable", WORDS, server_default="", nullable=False),
        sa.Column("directory_id", IDENTIFIER),
        sa.Column("active_config_id", IDENTIFIER),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["active_config_id"],
            ["model_configs.id"],
            name=op.f("fk_projects_active_config_id_model_configs"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_projects_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint(
            "organisation_id", "name", name=op.f("uq_projects_organisation_id_name")
        ),
    )
    op.create_table(
        "datasets",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("description", WORDS, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_datasets_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_datasets_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_index(
        op.f("ix_datasets_organisation_id"), "datasets", ["organisation_id"], unique=False
    )
    op.create_table(
        "project_configs",
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("config_id", IDENTIFIER, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("last_used", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"],
            ["model_configs.id"],
            name=op.f("fk_project_configs_config_id_model_configs"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_configs_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("project_id", "config_id", name=op.f("pk_project_configs")),
    )
    op.create_table(
        "datapoints",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("dataset_id", IDENTIFIER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_datapoints_dataset_id_datasets")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_datapoints_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datapoints")),
        sa.UniqueConstraint(
            "dataset_id", "position", name=op.f("uq_datapoints_dataset_id_position")
        ),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("dataset_id", IDENTIFIER, nullable=False),
        sa.Column("datapoint_count", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_versions_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_versions")),
        sa.UniqueConstraint(
            "dataset_id",
            "datapoint_count",
            name=op.f("uq_dataset_versions_dataset_id_datapoint_count"),
        ),
    )
    op.create_table(
        "evaluation_runs",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("dataset_id", IDENTIFIER, nullable=False),
        sa.Column("dataset_version_id", IDENTIFIER, nullable=False),
        sa.Column("name", WORDS),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_evaluation_runs_dataset_id_datasets")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_evaluation_runs_dataset_version_id_dataset_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_evaluation_runs_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_evaluation_runs_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_runs")),
    )
    op.create_index(
        op.f("ix_evaluation_runs_project_id_id"),
        "evaluation_runs",
        ["project_id", "id"],
        unique=False,
    )
    op.create_table(
        "evaluatees",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("run_id", IDENTIFIER, nullable=False),
        sa.Column("config_id", IDENTIFIER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"], ["model_configs.id"], name=op.f("fk_evaluatees_config_id_model_configs")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["evaluation_runs.id"], name=op.f("fk_evaluatees_run_id_evaluation_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluatees")),
        sa.UniqueConstraint("run_id", "position", name=op.f("uq_evaluatees_run_id_position")),
    )
    op.create_table(
        "run_evaluators",
        sa.Column("run_id", IDENTIFIER, nullable=False),
        sa.Column("evaluator_id", IDENTIFIER, nullable=False),
        sa.Column("evaluator_version_id", IDENTIFIER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluator_id"],
            ["evaluators.id"],
            name=op.f("fk_run_evaluators_evaluator_id_evaluators"),
        ),
        sa.ForeignKeyConstraint(
            ["evaluator_version_id"],
            ["evaluator_versions.id"],
            name=op.f("fk_run_evaluators_evaluator_version_id_evaluator_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["evaluation_runs.id"],
            name=op.f("fk_run_evaluators_run_id_evaluation_runs"),
        ),
        sa.PrimaryKeyConstraint("run_id", "evaluator_id", name=op.f("pk_run_evaluators")),
    )
    op.create_index(
        op.f("ix_run_evaluators_evaluator_id"), "run_evaluators", ["evaluator_id"], unique=False
    )
    op.create_table(
        "logs",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("organisation_id", IDENTIFIER, nullable=False),
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("config_id", IDENTIFIER, nullable=False),
        sa.Column("run_id", IDENTIFIER),
        sa.Column("evaluatee_id", IDENTIFIER),
        sa.Column("datapoint_id", IDENTIFIER),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("session_id", IDENTIFIER),
        sa.Column("parent_id", IDENTIFIER),
        sa.Column("reference_id", WORDS),
        sa.Column("source", WORDS),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("searchable", WORDS, server_default="", nullable=False),
        sa.Column("searchable_metadata", WORDS, server_default="", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"], ["model_configs.id"], name=op.f("fk_logs_config_id_model_configs")
        ),
        sa.ForeignKeyConstraint(
            ["datapoint_id"], ["datapoints.id"], name=op.f("fk_logs_datapoint_id_datapoints")
        ),
        sa.ForeignKeyConstraint(
            ["evaluatee_id"], ["evaluatees.id"], name=op.f("fk_logs_evaluatee_id_evaluatees")
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_logs_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["logs.id"], name=op.f("fk_logs_parent_id_logs")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_logs_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["evaluation_runs.id"], name=op.f("fk_logs_run_id_evaluation_runs")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_logs_session_id_sessions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logs")),
    )
    op.create_index(op.f("ix_logs_evaluatee_id"), "logs", ["evaluatee_id"], unique=False)
    op.create_index(
        op.f("ix_logs_organisation_id_reference_id"),
        "logs",
        ["organisation_id", "reference_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_logs_parent_id"),
        "logs",
        ["parent_id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_logs_project_id_created_at_id"),
        "logs",
        ["project_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_logs_run_id"), "logs", ["run_id"], unique=False)
    op.create_index(op.f("ix_logs_session_id"), "logs", ["session_id"], unique=False)
    op.create_index(
        "uq_logs_newest",
        "logs",
        ["run_id", "evaluatee_id", "datapoint_id"],
        unique=True,
        sqlite_where=sa.text("newest"),
        postgresql_where=sa.text("newest"),
    )
    op.create_table(
        "log_feedback",
        sa.Column("log_id", IDENTIFIER, nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("label", WORDS, nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["logs.id"], name=op.f("fk_log_feedback_log_id_logs")),
    )
    op.create_index(op.f("ix_log_feedback_log_id"), "log_feedback", ["log_id"], unique=False)
    op.create_table(
        "results",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("log_id", IDENTIFIER, nullable=False),
        sa.Column("evaluator_id", IDENTIFIER, nullable=False),
        sa.Column("evaluator_version_id", IDENTIFIER, nullable=False),
        sa.Column("run_id", IDENTIFIER, nullable=False),
        sa.Column("value", sa.JSON()),
        sa.Column("score", sa.Double()),
        sa.Column("error", WORDS),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluator_id"], ["evaluators.id"], name=op.f("fk_results_evaluator_id_evaluators")
        ),
        sa.ForeignKeyConstraint(
            ["evaluator_version_id"],
            ["evaluator_versions.id"],
            name=op.f("fk_results_evaluator_version_id_evaluator_versions"),
        ),
        sa.ForeignKeyConstraint(["log_id"], ["logs.id"], name=op.f("fk_results_log_id_logs")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["evaluation_runs.id"], name=op.f("fk_results_run_id_evaluation_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sa.UniqueConstraint("log_id", "evaluator_id", name=op.f("uq_results_log_id_evaluator_id")),
    )
    op.create_index(
        op.f("ix_results_run_id_evaluator_id"), "results", ["run_id", "evaluator_id"], unique=False
    )
