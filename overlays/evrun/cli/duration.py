"""A duration on the command line: a number and a unit, such as `30d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Duration(click.ParamType[timedelta]):
    """A number and a unit: hours, days or weeks."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time that a text says."""
        if isinstance(value, timedelta):
            return value
        said = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", value)
        if said is None:
            self.fail(
                f"{value!r} is not a duration. Write a number and h, d or w: 12h, 30d, 52w.",
                param,
                ctx,
            )
        return timedelta(**{_UNITS[said[2]]: int(said[1])})
