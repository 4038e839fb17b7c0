"""Run a piece of Python, and say what it is about. The vendor's environment runs this file too."""

from __future__ import annotations

import ast
from typing import Any


def execute(code: str, names: dict[str, Any]) -> Any:
    """Run `code` over `names`, and return the value of its last expression.

    A piece that ends otherwise is about the first name that it assigns, outermost first.
    """
    tree = ast.parse(code)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        _run(tree.body[:-1], names)
        return eval(compile(ast.Expression(last.value), "page", "eval"), names)  # noqa: S307 - our page
    _run(tree.body, names)
    return names[_first_name(tree)]


def _run(statements: list[ast.stmt], names: dict[str, Any]) -> None:
    exec(compile(ast.Module(statements, []), "page", "exec"), names)  # noqa: S102 - our own page


def _first_name(tree: ast.Module) -> str:
    return next(
        node.id
        for node in ast.walk(tree)  # level by level: what a function assigns comes last
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
