"""The databases that the server runs on, behind one interface."""

from evrun.server.backends.backend import Backend
from evrun.server.backends.choice import backend_for

__all__ = ["Backend", "backend_for"]
