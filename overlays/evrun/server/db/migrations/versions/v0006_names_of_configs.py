"""The name of a model config in a column, by which runs are filtered and sorted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, and fill it from the configs that are there."""
    op.add_column("model_configs", sa.Column("name", WORDS))
    configs = sa.table(
        "model_configs", sa.column("id"), sa.column("body", sa.JSON), sa.column("name")
    )
    connection = op.get_bind()
    for config_id, body in connection.execute(sa.select(configs.c.id, configs.c.body)).all():
        if body.get("name") is not None:
            connection.execute(
                sa.update(configs).where(configs.c.id == config_id).values(name=body["name"])
            )
