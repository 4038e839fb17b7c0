"""Whether the server takes requests: it stops in two steps, so that none is lost."""

from __future__ import annotations

from attrs import define


@define
class Lifecycle:
    """Serving, then draining: what is under way finishes, and nothing new begins."""

    draining: bool = False
