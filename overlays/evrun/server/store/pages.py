"""A page of a list: counted by numbers, or from behind a record that a cursor tells."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from evrun.server.store import cursors
from evrun.server.store.ordering import after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from pydantic import BaseModel
    from sqlalchemy import RowMapping, Select

    from evrun.server.store.ordering import Key
    from evrun.server.store.scope import Json, Scope


@frozen(kw_only=True)
class Window:
    """Which page of a list is asked for."""

    page: int
    first: int
    """The number of the first page."""
    size: int
    cursor: str | None
    """Where pages begin; None for the beginning of the list."""
    listed: str
    """Stands for the list, its filters and its order: other parameters, another text."""

    @classmethod
    def of(cls, given: BaseModel) -> Self:
        """Return what the parameters of a list say about pages."""
        asked = given.model_dump(mode="json", exclude_none=True)
        window = {name: asked.pop(name, None) for name in ("page", "size", "cursor")}
        text = json.dumps([type(given).__name__, asked], sort_keys=True)
        return cls(
            **window,
            first=type(given).model_fields["page"].default,
            listed=hashlib.sha256(text.encode()).hexdigest()[:16],
        )

    def shown(self, records: list[Json], *, total: int, next_cursor: str | None) -> Json:
        """Return the answer. `total` counts the whole list, wherever this page begins."""
        return {
            "records": records,
            "page": self.page,
            "size": self.size,
            "total": total,
            "next_cursor": next_cursor,
        }


def page(
    scope: Scope,
    query: Select[Any],
    keys: Iterable[Key],
    window: Window,
    present: Callable[[Sequence[RowMapping]], list[Json]],
) -> Json:
    """Return a page of what `query` selects, ordered by `keys`, of which the last is unique.

    By cursors, a row that matches throughout is on exactly one page, whatever is added, deleted or
    changed meanwhile, as long as its own keys stay as they are. Raises `InvalidValueError` for a
    cursor of another list.
    """
    keys = list(keys)
    names = [key.value.label(f"sort_{number}") for number, key in enumerate(keys)]
    asked = query.add_columns(*names).order_by(
        *(key.ordered(name) for key, name in zip(keys, names, strict=True))
    )
    if window.cursor is not None:
        asked = asked.where(after(keys, cursors.read(window.cursor, window.listed, keys)))
    skipped = (window.page - window.first) * window.size
    # One more than is shown says whether there is a next page.
    rows = scope.rows(asked.limit(window.size + 1).offset(skipped))
    shown = rows[: window.size]
    last = None
    if len(rows) > window.size:
        last = cursors.write(window.listed, [shown[-1][name.name] for name in names])
    return window.shown(present(shown), total=scope.count(query), next_cursor=last)
