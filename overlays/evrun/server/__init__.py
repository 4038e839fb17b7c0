"""evrun's own server of the v4 Evaluations API, over SQLite or PostgreSQL."""

from evrun.server.app import create_app
from evrun.server.authentication import KeyInfo, KeyScope, create_key, list_keys, revoke_key
from evrun.server.database import Database
from evrun.server.refusals import (
    Conflict,
    DatabaseUnusable,
    Forbidden,
    NotFound,
    Refusal,
    Rule,
    Unavailable,
)

__all__ = [
    "Conflict",
    "Database",
    "DatabaseUnusable",
    "Forbidden",
    "KeyInfo",
    "KeyScope",
    "NotFound",
    "Refusal",
    "Rule",
    "Unavailable",
    "create_app",
    "create_key",
    "list_keys",
    "revoke_key",
]
