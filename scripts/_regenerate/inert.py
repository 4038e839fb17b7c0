"""Hold generated code against a list of what may stand at the top of a module.

A document is untrusted input: a title or an enum value that broke out of its string would run when
the module is imported. Importing is what `proof` does next, so this comes first. Nothing is run.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from _openapi.refusal import Refusal, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

IMPORTS = frozenset(
    {
        *("__future__", "attrs", "collections", "datetime", "enum", "http", "httpx", "importlib"),
        *("io", "json", "mimetypes", "pydantic", "ssl", "typing", "typing_extensions", "urllib"),
        "uuid",
    }
)
"""Packages that the templates of both generators import."""

CALLS = frozenset(
    {"TypeVar", "TypeAliasType", "Unset", "Field", "Literal", "field", "_attrs_field", "ConfigDict"}
)
"""What may be called while a module is imported, beside `Model.model_rebuild()`."""

DECORATORS = frozenset(
    {"define", "_attrs_define", "property", "classmethod", "staticmethod", "field_validator"}
)


def check(files: Mapping[str, bytes]) -> None:
    """Refuse a tree with anything else in it. Raises `Refusal`."""
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError) as error:
            raise Refusal(f"generated {path} is no Python: {shorten(str(error))}") from error
        for node in _foreign(tree.body):
            raise Refusal(
                f"generated {path}, line {node.lineno}: `{shorten(ast.unparse(node), 120)}` is"
                " nothing that the generators write. Does the document try to inject code?"
            )


def _foreign(body: list[ast.stmt]) -> Iterator[ast.stmt | ast.expr]:
    """Yield what runs on import and is not on the list."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if not _imports(node):
                yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d)]
            yield from _decorators(node)
            yield from (each for each in defaults if not _harmless(each))
        elif isinstance(node, ast.ClassDef):
            yield from _decorators(node)
            yield from _foreign(node.body)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if node.value is not None and not _harmless(node.value):
                yield node
        elif isinstance(node, ast.If) and _type_checking(node.test):
            yield from _foreign([*node.body, *node.orelse])
        elif not (isinstance(node, ast.Pass) or _statement(node)):
            yield node


def _imports(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").split(".")[0] in IMPORTS
    return all(each.name.split(".")[0] in IMPORTS for each in node.names)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[ast.expr]:
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if not (isinstance(called, ast.Name) and called.id in DECORATORS):
            yield each


def _type_checking(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test = test.operand
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statement(node: ast.stmt) -> bool:
    """Whether it is a docstring, or the completion of a model that refers to itself."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    call = node.value
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "model_rebuild"
        and isinstance(call.func.value, ast.Name)
        and not call.args
        and not call.keywords
    )


def _harmless(value: ast.expr) -> bool:
    """Whether an expression only builds a value out of constants, names and the known calls."""
    return not any(
        isinstance(node, _RUNNING) or (isinstance(node, ast.Call) and _called(node) not in CALLS)
        for node in ast.walk(value)
    )


_RUNNING = (
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.NamedExpr,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""
