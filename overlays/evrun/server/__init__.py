"""evrun's own server of the v4 Evaluations API, over SQLite or PostgreSQL."""

from evrun.server.app import create_app
from evrun.server.authentication import KeyInfo, create_key, list_keys, revoke_key
from evrun.server.database import Database
from evrun.server.refusals import Conflict, DatabaseUnusable, NotFound, Refusal, Unavailable

__all__ = [
    "Conflict",
    "Database",
    "DatabaseUnusable",
    "KeyInfo",
    "NotFound",
    "Refusal",
    "Unavailable",
    "create_app",
    "create_key",
    "list_keys",
    "revoke_key",
]
