"""evrun's own server of the v4 Evaluations API, over SQLite or PostgreSQL."""

from evrun.server.api.app import create_app
from evrun.server.db.database import Database
from evrun.server.errors import (
    ApiError,
    ConflictError,
    DatabaseUnusableError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    UnavailableError,
)
from evrun.server.store.api_keys import KeyInfo, KeyScope, create_key, list_keys, revoke_key

__all__ = [
    "ApiError",
    "ConflictError",
    "Database",
    "DatabaseUnusableError",
    "ForbiddenError",
    "InvalidValueError",
    "KeyInfo",
    "KeyScope",
    "NotFoundError",
    "UnavailableError",
    "create_app",
    "create_key",
    "list_keys",
    "revoke_key",
]
