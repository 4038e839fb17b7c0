"""API keys: who a request acts for. Only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from attrs import frozen
from sqlalchemy import insert, or_, select, update

from evrun.server.identifiers import new_id
from evrun.server.refusals import Conflict, NotFound, Refusal
from evrun.server.schema import api_keys
from evrun.server.store import organisations
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from evrun.server.database import Database

HEADER = "X-API-KEY"
_PREFIX = "evk_"
_HINT = 12  # characters of a key that are shown; more than 150 random bits stay secret
_RANDOM = 40
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Unauthenticated(Refusal):
    """401: no key, or one that does not count."""


@frozen(kw_only=True)
class KeyInfo:
    """What is known of a key: never the key."""

    id: str
    hint: str
    """The key's first characters."""
    name: str
    created_at: datetime
    revoked_at: datetime | None


def generate_key() -> str:
    """Return a new random key."""
    return _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))


class Authenticator:
    """Tells which organisation a key belongs to.

    `local_key` lives in memory only and acts for the default organisation.
    """

    def __init__(self, local_key: str | None = None) -> None:
        self._local = None if local_key is None else _hash(local_key)

    def organisation(self, connection: Connection, key: str) -> str:
        """Return the organisation's id. Raises `Unauthenticated`."""
        hashed = _hash(key)
        if self._local is not None and hmac.compare_digest(self._local, hashed):
            found = organisations.find_default(connection)
            if found is not None:
                return found
        query = select(api_keys).where(api_keys.c.sha256 == hashed)
        row = connection.execute(query).mappings().first()
        if row is None or not hmac.compare_digest(row["sha256"], hashed):
            raise Unauthenticated(
                f"The server does not know this key. Check the {HEADER} header; "
                "`evrun keys create NAME` makes a key."
            )
        if row["revoked_at"] is not None:
            raise Unauthenticated(
                f"This key ({row['name']}) was revoked. `evrun keys create NAME` makes a new one."
            )
        organisation: str = row["organisation_id"]
        return organisation


def create_key(database: Database, name: str) -> str:
    """Create a key of the default organisation and return it; it cannot be read again.

    Raises `Conflict` if a key of that name is in use.
    """
    key = generate_key()

    def work(connection: Connection) -> None:
        organisation_id = organisations.find_or_create(connection, lock=True)
        taken = select(api_keys.c.id).where(
            api_keys.c.name == name, api_keys.c.revoked_at.is_(None)
        )
        if connection.execute(taken).first() is not None:
            raise Conflict(f"There is a key named {name!r} already. Revoke it, or name another.")
        connection.execute(
            insert(api_keys).values(
                id=new_id("key_"),
                organisation_id=organisation_id,
                name=name,
                hint=key[:_HINT],
                sha256=_hash(key),
                created_at=now(),
            )
        )

    database.write(work)
    return key


def list_keys(database: Database) -> list[KeyInfo]:
    """Return every key, oldest first, revoked ones too."""
    query = select(api_keys).order_by(api_keys.c.id)
    return database.read(
        lambda connection: [
            KeyInfo(
                id=row["id"],
                hint=row["hint"],
                name=row["name"],
                created_at=row["created_at"],
                revoked_at=row["revoked_at"],
            )
            for row in connection.execute(query).mappings()
        ]
    )


def revoke_key(database: Database, name_or_id: str) -> None:
    """Revoke the key with this name, id or hint; at once, for every process.

    Raises `NotFound` if no key in use goes by it.
    """

    def work(connection: Connection) -> None:
        revoked = connection.execute(
            update(api_keys)
            .where(
                or_(
                    api_keys.c.name == name_or_id,
                    api_keys.c.id == name_or_id,
                    api_keys.c.hint == name_or_id,
                ),
                api_keys.c.revoked_at.is_(None),
            )
            .values(revoked_at=now())
        )
        if not revoked.rowcount:
            raise NotFound(f"No key in use is named {name_or_id!r}. `evrun keys list` shows them.")

    database.write(work)


def _hash(key: str) -> str:
    # A random key of 240 bits needs no slow hash: there is nothing to guess.
    return hashlib.sha256(key.encode()).hexdigest()
