"""The table in `openapi/README.md`: each operation, and everything that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _summary.wiring import Wiring

BEGIN = "<!-- operations: written by scripts/summarize.py -->"
END = "<!-- operations end -->"


def render(addresses: dict[str, str], wiring: dict[str, Wiring]) -> str:
    """Return the table, with links relative to `openapi/`."""
    lines = [
        "| operation | contract | generated function | overlay method | server route | test |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for operation_id, address in addresses.items():
        each = wiring[operation_id]
        module = each.generated.rsplit("/", 1)[1].removesuffix(".py")
        route, _, function = each.route.partition(":")
        cells = (
            f"`{operation_id}`",
            f"`{address}`",
            f"[{module}](../generated/{each.generated})",
            ", ".join(f"`{method}`" for method in each.methods),
            f"[{route.rsplit('/', 1)[1]}: {function}](../overlays/evrun/server/{route})",
            ", ".join(f"[{test.split('/')[1]}](../tests/{test})" for test in each.tests),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
