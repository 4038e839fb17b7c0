"""Repeated requests: the same key and request get the first answer again, and it is done once.

After draft-ietf-httpapi-idempotency-key-header. An answer is kept in the transaction that it tells
of, so that there is never one without the other, whatever happens to the server in between. Only
successes are kept: a refused request changed nothing, and repeating it is trying anew.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen
from sqlalchemy import and_, delete, insert, select, tuple_, update

from evrun.server.refusals import Rule
from evrun.server.schema import idempotency_keys
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement

    from evrun.server.store.scope import Scope

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LIFETIME = timedelta(hours=24)
"""How long a key is remembered after its first use."""

_PRUNED = 10  # expired keys that go when a new one comes: more go than come
_BARE = re.compile(r"[!-~]{1,255}")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # sf-string, RFC 9651 section 3.3.3
_PLACE = ("header", HEADER)


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
    """Of method, path, query and body."""


def read_attempt(values: Sequence[str], method: str, target: str, content: bytes) -> Attempt | None:
    """Return the attempt that a request is, None without a key.

    `values` are those of the header, `target` is path and query as they came. Raises `Rule`.
    """
    if not values:
        return None
    quoted = _QUOTED.fullmatch(values[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else values[0]
    if len(values) > 1 or not _BARE.fullmatch(key):
        raise Rule(
            _PLACE,
            "Send one key of 1 to 255 visible ASCII characters.",
            type="idempotency_key_invalid",
        )
    digest = hashlib.sha256(f"{method} {target}\n".encode())
    digest.update(content)
    return Attempt(key, digest.hexdigest())


def recall(scope: Scope, attempt: Attempt) -> Answer | None:
    """Return the answer that was given under the key. Raises `Rule` if it was to something else."""
    kept = scope.row(
        select(idempotency_keys).where(
            _same(scope, attempt), idempotency_keys.c.created_at > now() - LIFETIME
        )
    )
    if kept is None:
        return None
    if kept["fingerprint"] != attempt.fingerprint:
        raise Rule(
            _PLACE,
            "This key was used for another request. A key stands for one thing to do: "
            "take a new one.",
            type="idempotency_key_reused",
        )
    return Answer(kept["status"], kept["answer"], replayed=True)


def once(scope: Scope, attempt: Attempt, work: Callable[[], Answer]) -> Answer:
    """Return `work`'s answer and keep it, or the one that was given under the key before.

    Within the write transaction. Whoever comes second waits at the key, before any work: where
    writers race, it then fails at the unique index, and finds the answer when it is done again.
    """
    earlier = recall(scope, attempt)
    if earlier is not None:
        return earlier
    expired = idempotency_keys.c.created_at <= now() - LIFETIME
    scope.connection.execute(delete(idempotency_keys).where(_same(scope, attempt), expired))
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
        .where(_same(scope, attempt))
        .values(status=answer.status, answer=answer.content)
    )
    _prune(scope)
    return answer


def _prune(scope: Scope) -> None:
    """Forget some expired keys, whosever they are."""
    keys = idempotency_keys.c
    expired = (
        select(keys.organisation_id, keys.key)
        .where(keys.created_at <= now() - LIFETIME)
        .order_by(keys.created_at)
        .limit(_PRUNED)
        .with_for_update(skip_locked=True)  # another writer is at those already
    )
    scope.connection.execute(
        delete(idempotency_keys).where(tuple_(keys.organisation_id, keys.key).in_(expired))
    )


def _same(scope: Scope, attempt: Attempt) -> ColumnElement[bool]:
    return and_(
        idempotency_keys.c.organisation_id == scope.organisation_id,
        idempotency_keys.c.key == attempt.key,
    )
