"""A success whose body has been parsed already."""

from __future__ import annotations

from typing import Any

import httpx


class ParsedResponse(httpx.Response):
    """A response that hands its JSON to the generated parser, which would parse it again.

    It hands the value on once: later calls of `json()` parse the body, because results hold parts
    of the value.
    """

    def __init__(self, response: httpx.Response, value: Any) -> None:
        self.__dict__.update(response.__dict__)
        self._value = [value]

    def json(self, **kwargs: Any) -> Any:
        """Return the body's JSON."""
        if self._value and not kwargs:
            return self._value.pop()
        return super().json(**kwargs)
