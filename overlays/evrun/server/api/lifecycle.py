"""Whether the server takes requests. It stops in two steps, so that no request is lost."""

from __future__ import annotations

from attrs import define


@define
class Lifecycle:
    """Serving, then draining: running requests finish, and new ones get 503."""

    draining: bool = False
