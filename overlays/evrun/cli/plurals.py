"""A number with its noun."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return "1 log" or "20 logs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
