"""What Alembic runs: the migrations, over the connection that `upgrade` hands in."""

from alembic import context

from evrun.server.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
