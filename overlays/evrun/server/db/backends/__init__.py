"""The databases that the server runs on, behind one interface."""

from evrun.server.db.backends.backend import Backend
from evrun.server.db.backends.choice import backend_for

__all__ = ["Backend", "backend_for"]
