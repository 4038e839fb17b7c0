"""Which objects act when the process forks, such as open databases.

A database closes its idle connections first: a child must not even inherit SQLite's state
(https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_), and two processes
must not talk over one connection to PostgreSQL.
"""

from __future__ import annotations

import os
import weakref


class Forkable:
    """An object that acts when the process forks. `watch` registers it."""

    def before_fork(self) -> None:
        """Come to rest."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Start anew."""


_WATCHED: weakref.WeakSet[Forkable] = weakref.WeakSet()
_HELD: list[Forkable] = []  # strong references while a fork is under way


def watch(forkable: Forkable) -> None:
    """Tell `forkable` of every fork for as long as it lives."""
    _WATCHED.add(forkable)


def _before() -> None:
    _HELD.extend(_WATCHED)
    for each in _HELD:
        each.before_fork()


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_parent()


def _after_in_child() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
