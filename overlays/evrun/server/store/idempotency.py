"""Repeated requests: the same key and request get the first answer again, and it is done once.

An answer is kept in the transaction that it tells of: there is never one without the other,
whatever happens to the server in between. Only successes are kept: a refused request changed
nothing, and a client may send it again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from sqlalchemy import and_, bindparam, delete, insert, select, tuple_, update

from evrun.server.db.tables import idempotency_keys
from evrun.server.errors import InvalidValueError
from evrun.server.store.bulk_insert import insert_rows
from evrun.server.store.scope import now, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from evrun.server.store.scope import Scope

LIFETIME = timedelta(hours=24)
"""How long a key is remembered after its first use."""

_PRUNED = 10  # expired keys that go when a new one comes: more go than come
FIELD = ("idempotency_key",)
"""The key, in a complaint about it."""

# Made once: every request under a key asks these.
_KNOWN = select(idempotency_keys).where(
    idempotency_keys.c.organisation_id == bindparam("organisation_id"),
    idempotency_keys.c.key.in_(bindparam("keys", expanding=True)),
)


_FORGOTTEN = delete(idempotency_keys).where(
    tuple_(idempotency_keys.c.organisation_id, idempotency_keys.c.key).in_(
        select(idempotency_keys.c.organisation_id, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at <= bindparam("oldest"))
        .order_by(idempotency_keys.c.created_at)
        .limit(bindparam("number"))
        .with_for_update(skip_locked=True)  # another writer is at those already
    )
)


@frozen
class Answer:
    """What a request is answered with, byte for byte."""

    status: int
    content: bytes
    replayed: bool = False


@frozen
class Attempt:
    """A request under an idempotency key."""

    key: str
    fingerprint: str
    """Of method, path, query and body; the body by what it says, if it is JSON."""


class Memory:
    """What was answered under some keys, and what is now: of one transaction."""

    def __init__(self, scope: Scope, attempts: Iterable[Attempt]) -> None:
        self._scope = scope
        self._known: dict[str, tuple[str, Answer]] = {}
        self._expired: list[str] = []
        self._new: dict[str, tuple[str, Answer]] = {}
        oldest = now() - LIFETIME
        keys = idempotency_keys.c
        for part in parts(sorted({attempt.key for attempt in attempts})):
            asked = {"organisation_id": scope.organisation_id, "keys": part}
            for row in scope.connection.execute(_KNOWN, asked).mappings():
                if row[keys.created_at] <= oldest:
                    self._expired.append(row[keys.key])
                else:
                    answer = Answer(row[keys.status], row[keys.answer])
                    self._known[row[keys.key]] = row[keys.fingerprint], answer

    def recall(self, attempt: Attempt) -> Answer | None:
        """Return the answer given under the key. Raises `InvalidValueError` for another request."""
        known = self._known.get(attempt.key)
        if known is None:
            return None
        fingerprint, answer = known
        if fingerprint != attempt.fingerprint:
            raise InvalidValueError(
                FIELD,
                "This key was used for another request. A key stands for one thing to do: take a "
                "new one.",
                type="idempotency_key_reused",
            )
        return evolve(answer, replayed=True)

    def note(self, attempt: Attempt, answer: Answer) -> None:
        """Remember an answer; `keep` writes it."""
        self._new[attempt.key] = self._known[attempt.key] = attempt.fingerprint, answer

    def forget_expired(self, number: int = _PRUNED) -> None:
        """Delete the keys of these attempts that have expired, and `number` other expired keys."""
        scope = self._scope
        for part in parts(self._expired):
            # Another writer may have used the key anew since it was looked up.
            going = delete(idempotency_keys).where(_under(scope, part), expired())
            scope.connection.execute(going)
        forget_expired(scope.connection, number)

    def keep(self) -> None:
        """Write what was noted.

        In the order of the keys: writers that race for several must not wait for each other.
        """
        if not self._new:
            return
        self.forget_expired(max(_PRUNED, 2 * len(self._new)))
        scope, at = self._scope, now()
        insert_rows(
            scope.connection,
            idempotency_keys,
            [
                {
                    "organisation_id": scope.organisation_id,
                    "key": key,
                    "fingerprint": fingerprint,
                    "status": answer.status,
                    "answer": answer.content,
                    "created_at": at,
                }
                for key, (fingerprint, answer) in sorted(self._new.items())
            ],
        )


def expired() -> ColumnElement[bool]:
    """Return whether a key has expired."""
    return idempotency_keys.c.created_at <= now() - LIFETIME


def forget_expired(connection: Connection, number: int) -> int:
    """Delete the oldest `number` keys that have expired, and return how many there were."""
    asked = {"oldest": now() - LIFETIME, "number": number}
    return connection.execute(_FORGOTTEN, asked).rowcount


def recall(scope: Scope, attempt: Attempt) -> Answer | None:
    """Return the answer given under the key. Raises `InvalidValueError` for another request."""
    return Memory(scope, [attempt]).recall(attempt)


def once(scope: Scope, attempt: Attempt, work: Callable[[], Answer]) -> Answer:
    """Return `work`'s answer and keep it, or the one that was given under the key before.

    Within the write transaction. Unlike `Memory.keep`, it writes the key before the work: a second
    writer waits at the unique index, instead of failing on what the first one stores. It is then
    done again, and finds the answer.
    """
    memory = Memory(scope, [attempt])
    earlier = memory.recall(attempt)
    if earlier is not None:
        return earlier
    memory.forget_expired()
    scope.connection.execute(
        insert(idempotency_keys).values(
            organisation_id=scope.organisation_id,
            key=attempt.key,
            fingerprint=attempt.fingerprint,
            status=0,
            answer=b"",
            created_at=now(),
        )
    )
    answer = work()
    scope.connection.execute(
        update(idempotency_keys)
        .where(_under(scope, [attempt.key]))
        .values(status=answer.status, answer=answer.content)
    )
    return answer


def _under(scope: Scope, keys: Sequence[str]) -> ColumnElement[bool]:
    return and_(
        idempotency_keys.c.organisation_id == scope.organisation_id,
        idempotency_keys.c.key.in_(keys),
    )
