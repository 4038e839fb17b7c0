"""How a message shows a refused value: short, and without keys."""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 100  # characters
_KEY: Final = re.compile(r"(evk_|hl_)\w+", re.ASCII)
"""A key where no key belongs: a message goes to logs, and a key must not."""


def short_repr(value: object) -> str:
    """Return the `repr` of `value`, cut at 100 characters, with keys masked."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything; a long int raises too
        return f"<{type(value).__name__}>"
    text = _KEY.sub(r"\1…", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
