"""Find, for each operation, the code that carries it: by reading the sources, importing none."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from attrs import frozen

from _openapi.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@frozen
class Wiring:
    """Where an operation is found, as paths and names that a person can follow."""

    generated: str
    """The generated module, relative to `generated/`."""
    methods: tuple[str, ...]
    """Methods of the client, such as `evaluations.log`."""
    route: str
    """The handler: module relative to `overlays/evrun/server/`, and function."""
    tests: tuple[str, ...]
    """The test modules of the server that name the operation, relative to `tests/`."""


def find(root: Path, operation_ids: list[str]) -> dict[str, Wiring]:
    """Return the wiring of every operation. Raises `Refusal` where a piece is missing."""
    modules = {path.stem: path for path in (root / "generated/evrun_api/api").rglob("*_*.py")}
    methods = methods_by_module(root / "overlays/evrun/resources")
    routes = _routes(root / "overlays/evrun/server/api/routes")
    tests = _tests(root / "tests", operation_ids)
    found = {}
    for operation_id in operation_ids:
        name = snake(operation_id)
        for what, there in (
            ("generated function", name in modules),
            ("method in overlays/evrun/resources", name in methods),
            ("route in overlays/evrun/server/api/routes", operation_id in routes),
            ("test in tests/server", operation_id in tests),
        ):
            if not there:
                raise Refusal(f"{operation_id} has no {what}")
        found[operation_id] = Wiring(
            modules[name].relative_to(root / "generated").as_posix(),
            methods[name],
            routes[operation_id],
            tests[operation_id],
        )
    return found


def snake(operation_id: str) -> str:
    """Return the name of an operation's module: `Logs_updateByRef` → `logs_update_by_ref`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation_id).lower()


def methods_by_module(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the public methods of the resources in `folder` that end in each generated module."""
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")}
    classes = {name: node for tree in trees.values() for name, node in _classes(tree).items()}
    found: dict[str, list[str]] = defaultdict(list)
    for stem, tree in sorted(trees.items()):
        local = _classes(tree)
        for facade in local.values():
            # A facade keeps its class of calls in `_calls`; its async mirror has the same names.
            if facade.name.startswith(("_", "Async")) or "_calls" not in ast.unparse(facade):
                continue
            calls = _calls_of(facade, classes | local)
            for method in _functions(facade):
                for called in _self_calls(method, "_calls"):
                    for module in _bound(calls, called):
                        found[module].append(f"{stem}.{method.name}")
    return {module: tuple(names) for module, names in found.items()}


def methods_calling(file: Path, name: str, owner: str) -> list[tuple[str, str]]:
    """Return the public methods of a class, each with a method of `self.<owner>` that it calls."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        (method.name, called)
        for method in _functions(_classes(tree)[name])
        for called in _self_calls(method, owner)
    ]


def _classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _calls_of(facade: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> ast.ClassDef:
    match = re.search(r"self\._calls = (\w+)\(", ast.unparse(facade))
    if match is None:
        raise Refusal(f"{facade.name} keeps no class of calls in _calls")
    return classes[match[1]]


def _functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    return (
        each
        for each in node.body
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")
    )


def _self_calls(function: ast.AST, *owner: str) -> Iterator[str]:
    """Yield the names of methods called on `self`, or on an attribute of it."""
    prefix = ".".join(("self", *owner, ""))
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith(prefix) and "." not in called.removeprefix(prefix):
                yield called.removeprefix(prefix)


def _bound(calls: ast.ClassDef, method: str) -> Iterator[str]:
    """Yield the generated modules that a method binds, itself or through another."""
    for node in calls.body:
        if isinstance(node, ast.FunctionDef) and node.name == method:
            yield from re.findall(r"(\w+)\.sync_detailed", ast.unparse(node))
            for other in _self_calls(node):
                yield from _bound(calls, other)


def _routes(folder: Path) -> dict[str, str]:
    """Return the handler of each operation: what `@routes.read` and `@routes.write` decorate."""
    found = {}
    for path in folder.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for decorator in getattr(node, "decorator_list", ()):
                if isinstance(decorator, ast.Call) and isinstance(node, ast.FunctionDef):
                    first = decorator.args[0] if decorator.args else None
                    if isinstance(first, ast.Constant):
                        found[str(first.value)] = f"api/routes/{path.name}:{node.name}"
    return found


def _tests(folder: Path, operation_ids: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the modules of `tests/server` that name each operation."""
    read = {path: path for path in (folder / "server").glob("test_*.py")}
    # The examples of all operations stand in a module that `test_examples.py` executes.
    read[folder / "_support" / "contract_examples.py"] = folder / "server" / "test_examples.py"
    found: dict[str, set[str]] = defaultdict(set)
    for path, test in read.items():
        text = path.read_text(encoding="utf-8")
        for operation_id in operation_ids:
            if f'"{operation_id}"' in text:
                found[operation_id].add(test.relative_to(folder).as_posix())
    return {operation_id: tuple(sorted(paths)) for operation_id, paths in found.items()}
