"""Quantities on the command line: a number and a unit."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import click

_TIMES: Final = {"h": "hours", "d": "days", "w": "weeks"}
_SIZES: Final = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


class DurationType(click.ParamType[timedelta]):
    """Hours, days or weeks: `12h`, `30d`, `52w`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time."""
        if isinstance(value, timedelta):
            return value
        parsed = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", value)
        if parsed is None:
            self.fail(
                f"{value!r} is not a duration. Write a number and h, d or w: 12h, 30d, 52w.",
                param,
                ctx,
            )
        return timedelta(**{_TIMES[parsed[2]]: int(parsed[1])})


class SizeType(click.ParamType[int]):
    """Bytes: `10MiB`, or `10485760`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        parsed = re.fullmatch(r"([1-9][0-9]{0,11})(|KiB|MiB|GiB)", value)
        if parsed is None:
            self.fail(
                f"{value!r} is not a size. Write 10MiB, 512KiB or a number of bytes.", param, ctx
            )
        return int(parsed[1]) * _SIZES[parsed[2]]


class RateType(click.ParamType[Any]):
    """Requests in a second, a minute or an hour: `100/s`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the rate."""
        from evrun.server.api.limits import Rate  # noqa: PLC0415 - an optional extra

        if isinstance(value, Rate):
            return value
        try:
            return Rate.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
