"""API keys: who a request acts for, and what it may do. Only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Literal, get_args

from attrs import frozen
from sqlalchemy import and_, bindparam, insert, or_, select, update

from evrun._base.headers import API_KEY
from evrun.server.db import organisations
from evrun.server.db.ids import new_id
from evrun.server.db.tables import api_keys
from evrun.server.errors import (
    ConflictError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    UnauthenticatedError,
)
from evrun.server.store.scope import now, utc_text

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from evrun.server.db.database import Database

KeyScope = Literal["read", "write", "admin"]
"""What a key allows: `read` looks, `write` creates and changes too, `admin` deletes as well."""
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

_METHODS: dict[KeyScope, frozenset[str]] = {
    "read": frozenset({"GET"}),
    "write": frozenset({"GET", "POST", "PATCH"}),
    "admin": frozenset({"GET", "POST", "PATCH", "DELETE"}),
}
_PREFIX = "evk_"
_HINT = 12  # characters of a key that are shown; more than 150 random bits stay secret
_RANDOM = 40
_LONGEST_NAME = 200  # characters
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# Made once: every request asks this.
_KEY = select(api_keys).where(api_keys.c.sha256 == bindparam("sha256"))


@frozen(kw_only=True)
class KeyInfo:
    """What is known of a key: never the key."""

    id: str
    hint: str
    """The key's first characters."""
    name: str
    created_at: datetime
    revoked_at: datetime | None
    scope: KeyScope
    expires_at: datetime | None

    @property
    def label(self) -> str:
        """The name for people: one from before names were checked does nothing to a terminal."""
        return printable(self.name)

    @property
    def in_use(self) -> bool:
        """Whether it opens the server now."""
        expired = self.expires_at is not None and self.expires_at <= now()
        return self.revoked_at is None and not expired


@frozen(kw_only=True)
class Caller:
    """Who asks, as the key says."""

    organisation_id: str
    key_id: str
    """`local` for the key of an embedded server."""
    hint: str
    """The key's first characters."""
    scope: KeyScope

    def require(self, method: str) -> None:
        """Raise `ForbiddenError` unless the key allows requests of this method."""
        if method in _METHODS[self.scope]:
            return
        needed = next(scope for scope in SCOPES if method in _METHODS[scope])
        raise ForbiddenError(
            f"This key allows {self.scope} requests only, and {method} needs one with the scope "
            f"{needed}. `evrun keys create NAME --scope {needed}` makes one."
        )


def generate_key() -> str:
    """Return a new random key."""
    return _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))


class Authenticator:
    """Tells who a key belongs to.

    `local_key` lives in memory only and acts for the default organisation.
    """

    def __init__(self, local_key: str | None = None) -> None:
        self._local = None if local_key is None else hash_key(local_key)
        self._met: set[str] = set()

    def has_met(self, key: str) -> bool:
        """Return whether it was good before, here. It may have been revoked since."""
        return hash_key(key) in self._met

    def authenticate(self, connection: Connection, key: str) -> Caller:
        """Return whose key it is. Raises `UnauthenticatedError`."""
        hashed = hash_key(key)
        caller = self._found(connection, key, hashed)
        self._met.add(hashed)
        return caller

    def _found(self, connection: Connection, key: str, hashed: str) -> Caller:
        if self._local is not None and hmac.compare_digest(self._local, hashed):
            found = organisations.find_default(connection)
            if found is not None:
                return Caller(
                    organisation_id=found, key_id="local", hint=key[:_HINT], scope="admin"
                )
        row = connection.execute(_KEY, {"sha256": hashed}).mappings().first()
        if row is None or not hmac.compare_digest(row["sha256"], hashed):
            raise UnauthenticatedError(
                f"The server does not know the key in {API_KEY}. "
                "`evrun keys create NAME` makes one."
            )
        info = _info(row)
        if not info.in_use:
            raise UnauthenticatedError(
                f"This key ({info.label}) {_end(info)}. `evrun keys create NAME` makes a new one."
            )
        return Caller(
            organisation_id=row["organisation_id"],
            key_id=info.id,
            hint=info.hint,
            scope=info.scope,
        )


def _end(info: KeyInfo) -> str:
    if info.revoked_at is not None or info.expires_at is None:
        return "was revoked"
    return f"expired at {utc_text(info.expires_at)}"


def create_key(
    database: Database,
    name: str,
    *,
    scope: KeyScope = "admin",
    expires_in: timedelta | None = None,
) -> str:
    """Create a key of the default organisation and return it; it cannot be read again.

    It is good for ever unless `expires_in` says how long. Raises `InvalidValueError` for a name
    that cannot be shown, `ConflictError` if a key of that name is in use.
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidValueError(
            ("name",),
            f"A key's name has 1 to {_LONGEST_NAME} printable characters, in one line: "
            f"{name[:40]!r} has not. Choose another.",
        )
    key = generate_key()

    def work(connection: Connection) -> None:
        organisation_id = organisations.find_or_create(connection, lock=True)
        taken = select(api_keys.c.id).where(api_keys.c.name == name, _in_use())
        if connection.execute(taken).first() is not None:
            raise ConflictError(
                f"There is a key named {name!r} already. Revoke it, or name another."
            )
        connection.execute(
            insert(api_keys).values(
                id=new_id("key_"),
                organisation_id=organisation_id,
                name=name,
                hint=key[:_HINT],
                sha256=hash_key(key),
                created_at=now(),
                scope=scope,
                expires_at=None if expires_in is None else now() + expires_in,
            )
        )

    database.write(work)
    return key


def printable(name: str) -> str:
    """Return a name with escapes in place of what a terminal would obey."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in name
    )


def list_keys(database: Database) -> list[KeyInfo]:
    """Return every key, oldest first, revoked and expired ones too."""
    query = select(api_keys).order_by(api_keys.c.id)
    return database.read(
        lambda connection: [_info(row) for row in connection.execute(query).mappings()]
    )


def _info(row: RowMapping) -> KeyInfo:
    return KeyInfo(
        id=row["id"],
        hint=row["hint"],
        name=row["name"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        scope=row["scope"],
        expires_at=row["expires_at"],
    )


def _in_use() -> ColumnElement[bool]:
    """Return what `KeyInfo.in_use` says, as SQL."""
    keys = api_keys.c
    return and_(keys.revoked_at.is_(None), or_(keys.expires_at.is_(None), keys.expires_at > now()))


def revoke_key(database: Database, name_or_id: str) -> None:
    """Revoke the key with this name, id or hint; at once, for every process.

    Raises `NotFoundError` if no key in use goes by it.
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
            raise NotFoundError(
                f"No key in use is named {name_or_id!r}. `evrun keys list` shows them."
            )

    database.write(work)


def hash_key(key: str) -> str:
    """Return what is kept of a key."""
    # A random key of 240 bits needs no slow hash: there is nothing to guess.
    return hashlib.sha256(key.encode()).hexdigest()
