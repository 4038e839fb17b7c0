"""Why a run stops before it has changed anything."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 -- it is an answer to the user, not a fault of the script
    """Something the user has to mend: the document, the environment or the command.

    Its text is one line: the file, the line where it is known, the JSON pointer, what is wrong.
    """

    def __init__(
        self, message: str, *, where: str = "", line: int | None = None, pointer: str = ""
    ) -> None:
        place = f"{where}:{line}" if where and line else where
        super().__init__(": ".join(_one_line(part) for part in (place, pointer, message) if part))
        self.message = message
        self.pointer = pointer
        self.line = line


def shorten(text: str, limit: int = 300) -> str:
    """Return `text` on one line, cut where it would bury the reader."""
    line = _one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _one_line(text: str) -> str:
    return " ".join(text.split())
