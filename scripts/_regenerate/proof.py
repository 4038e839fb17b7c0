"""Prove that nothing of the contract was lost on the way into generated code.

Both generators can drop or overwrite an operation and exit 0, so what they wrote is read back.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from _openapi.document import pointer
from _openapi.refusal import Refusal, shorten
from _regenerate.generators import TIMEOUT, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from _regenerate.contract import Operation

_ENDPOINT = re.compile(r"evrun_api/api/\w+/(?!__init__)\w+\.py")
_FUNCTIONS = {"sync_detailed", "asyncio_detailed"}
"""In every endpoint; `sync` and `asyncio` stand only where there is a body to parse."""


def operation_modules(
    operations: Iterable[Operation], files: Mapping[str, bytes]
) -> dict[str, str]:
    """Return the module of each operationId, found by the request that the module sends.

    Names are not compared: two operationIds that become the same file name would look alike.
    """
    sent = {}
    for path, content in files.items():
        if _ENDPOINT.fullmatch(path):
            tree = ast.parse(content)
            functions = {node.name for node in tree.body if isinstance(node, _DEFS)}
            if functions >= _FUNCTIONS:
                sent[_request(tree)] = path.removesuffix(".py").replace("/", ".")
    found: dict[str, str] = {}
    for operation in operations:
        module = sent.get((operation.method, _bare(operation.url)))
        if module is None or module in found.values():
            raise Refusal(
                f"operation {operation.id!r} has no module in the generated client; does its"
                " operationId or path differ from another's only by case or punctuation?",
                pointer=operation.pointer,
            )
        found[operation.id] = module
    return found


def check_models(schemas: Iterable[str], source: bytes) -> None:
    """Refuse models that lack one of the named schemas."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            names.add(_letters(node.name))
        elif isinstance(node, ast.Assign):
            names |= {
                _letters(target.id) for target in node.targets if isinstance(target, ast.Name)
            }
    for schema in schemas:
        # A name that starts with a digit or sign gets a prefix, which is the generator's business.
        if schema[:1].isalpha() and _letters(schema) not in names:
            raise Refusal(
                f"schema {schema!r} has no model in the generated models",
                pointer=pointer("components", "schemas", schema),
            )


def check_imports(tree: Path, files: Iterable[str]) -> None:
    """Import every module in a fresh process, with warnings as errors."""
    modules = sorted(
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in files
        if path.endswith(".py")
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", _IMPORTER, str(tree), *modules],
        cwd=tree,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        close_fds=False,  # It inherits the lock, see `replacing.locked`.
    )
    if done.returncode:
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["?"]
        try:
            module, problem = json.loads(lines[-1])
        except ValueError:  # It died of something else, such as a signal.
            raise Refusal(f"generated code cannot be imported: {shorten(lines[-1])}") from None
        raise Refusal(f"generated module {module} cannot be imported: {shorten(problem)}")


_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _request(tree: ast.Module) -> tuple[str, str]:
    """Return the method and URL in an endpoint's `_get_kwargs`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
            if values.keys() >= {"method", "url"}:
                return _string(values["method"]), _bare(_string(values["url"]))
    return "", ""


def _string(node: ast.expr) -> str:
    """Return a string constant, also where it is the template of `.format(…)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _bare(url: str) -> str:
    """Return a URL template without the names in it, which the generator turns into Python's."""
    return re.sub(r"\{[^}]*\}", "{}", url)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


# The libraries come first, under their own warnings: only generated code is on trial.
_IMPORTER = """
import importlib, json, os, sys, warnings
import attrs, httpx, pydantic
tree, *modules = sys.argv[1:]
sys.path.insert(0, tree)
warnings.simplefilter("error")
for name in modules:
    try:
        module = importlib.import_module(name)
        if not os.path.realpath(module.__file__).startswith(os.path.realpath(tree) + os.sep):
            raise ImportError(f"came from {module.__file__}")
        for public in getattr(module, "__all__", ()):
            getattr(module, public)
    except BaseException as error:
        print(json.dumps([name, f"{type(error).__name__}: {error}"]))
        sys.exit(1)
"""
