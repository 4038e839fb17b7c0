"""The optional extras: what each brings, and what to install if something is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from evrun.errors import ConfigurationError

MODULES: Final = {
    "cli": ("click", "rich"),
    "server": ("starlette", "uvicorn", "pydantic", "sqlalchemy", "alembic", "prometheus_client"),
    "postgres": ("psycopg",),
    "data": ("pyarrow",),
}
"""By extra: the packages that its code imports."""


def lack(what: str, *extras: str) -> str | None:
    """Return a sentence that names everything which `what` needs and has not; None if all is there.

    `what` is the subject of the sentence: "The server".
    """
    lacking = {extra: [each for each in MODULES[extra] if _absent(each)] for extra in extras}
    names = [extra for extra in extras if lacking[extra]]
    if not names:
        return None
    modules = ", ".join(module for extra in names for module in lacking[extra])
    return (
        f"{what} needs {modules}. Install what is missing: pip install 'evrun[{','.join(names)}]'"
    )


def require(what: str, *extras: str) -> None:
    """Raise `ConfigurationError` with the sentence of `lack`, unless all is there."""
    sentence = lack(what, *extras)
    if sentence is not None:
        raise ConfigurationError(sentence)


def _absent(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ValueError:  # a module that somebody made by hand has no spec
        return False
