"""The `Idempotency-Key` of a request, after draft-ietf-httpapi-idempotency-key-header."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from evrun.server.errors import InvalidValueError
from evrun.server.store.idempotency import FIELD, Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence


_BARE = re.compile(r"[!-~]{1,255}")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # sf-string, RFC 9651 section 3.3.3


def read_attempt(values: Sequence[str], target: str, content: bytes) -> Attempt:
    """Return the attempt that a POST is.

    `values` are those of the header, `target` is path and query, `content` is the canonical body:
    a log in a batch has the fingerprint of the single call. Raises `InvalidValueError` for a key
    of another form.
    """
    quoted = _QUOTED.fullmatch(values[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else values[0]
    if len(values) > 1 or not _BARE.fullmatch(key):
        raise InvalidValueError(
            FIELD,
            "Send one key of 1 to 255 visible ASCII characters.",
            type="idempotency_key_invalid",
        )
    digest = hashlib.sha256(f"POST {target}\n".encode())
    digest.update(content)
    return Attempt(key, digest.hexdigest())
