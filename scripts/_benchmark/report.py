"""Write figures down, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _benchmark.case import Figure

_VERDICT = {True: "holds", False: "FAILS", None: ""}


def table(figures: Sequence[Figure]) -> str:
    """Return a line for each figure."""
    rows = [("figure", "measured", "claimed", "")]
    rows += [
        (each.name, f"{each.value:.2f} {each.unit}", _claim(each), _VERDICT[each.holds])
        for each in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = (
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {claim:>{widths[2]}}  {verdict}".rstrip()
        for name, value, claim, verdict in rows
    )
    return "\n".join(lines)


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return the figures as data."""
    return [
        {
            "name": each.name,
            "value": each.value,
            "unit": each.unit,
            "at_most": each.at_most,
            "at_least": each.at_least,
            "holds": each.holds,
        }
        for each in figures
    ]


def _claim(figure: Figure) -> str:
    bounds = (("≤", figure.at_most), ("≥", figure.at_least))
    return " ".join(
        f"{sign} {bound:.3g} {figure.unit}" for sign, bound in bounds if bound is not None
    )
