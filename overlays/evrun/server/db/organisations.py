"""Organisations: who owns what. A fresh database has one, the default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from evrun.server.db.ids import new_id
from evrun.server.db.tables import organisations

if TYPE_CHECKING:
    from sqlalchemy import Connection

DEFAULT = "default"


def find_default(connection: Connection) -> str | None:
    """Return the id of the organisation that `Evrun.local` and `evrun keys create` act for."""
    query = select(organisations.c.id).where(organisations.c.name == DEFAULT)
    return connection.execute(query).scalar_one_or_none()


def find_or_create(connection: Connection, name: str = DEFAULT, *, lock: bool = False) -> str:
    """Return the id of the organisation of that name.

    `lock` keeps others who lock it waiting until the transaction ends.
    """
    query = select(organisations.c.id).where(organisations.c.name == name)
    if lock:
        query = query.with_for_update(key_share=True)  # what stands on it need not wait
    found: str | None = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return found
    created = new_id("org_")
    connection.execute(
        insert(organisations).values(id=created, name=name, created_at=datetime.now(UTC))
    )
    return created
