"""Derive a module: its classes with each waiting call awaited, and the imports that they need."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from _openapi.refusal import Refusal, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]

NAMES: Final = {
    "Iterator": "AsyncIterator",
    "perform": "perform_async",
    "raw": "async_raw",
    "records": "records_async",
    "run": "run_async",
}
"""What has another name in an awaited module, beside the derived classes."""
TEXTS: Final = {
    "evrun._bulk.drive import": "evrun._bulk.drive_async import",
    "noqa: PERF402": "noqa: PERF401",
}
CLIENT: Final = "Evrun"
"""It is written by hand, and docstrings name it."""

_WAITS: Final = ("self._calls.", "self._evaluations.")
"""The results of these are awaited."""
_HEADER: Final = """\
# Derived by scripts/derive_async.py from overlays/evrun/{name}.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""
_PACKAGE: Final = '"""What `AsyncEvrun` offers, derived from the half that blocks."""\n'


def derived(package: Path) -> dict[str, str]:
    """Return the derived modules by their file names. Raises `Refusal`."""
    paths = [
        *(path for path in sorted((package / "resources").glob("[!_]*.py"))),
        package / "raw.py",
        package / "run.py",
    ]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    classes = {node.name for tree in trees.values() for node in _classes(tree)}
    names = {**NAMES, **{name: f"Async{name}" for name in (*classes, CLIENT)}}
    used: Counter[str] = Counter()
    made = {"__init__.py": _HEADER.format(name="resources, raw.py and run.py") + _PACKAGE}
    for path, tree in trees.items():
        name = path.relative_to(package).as_posix()
        made[path.name] = _module(path.read_text(encoding="utf-8"), tree, name, names, used)
    if unused := (NAMES.keys() | TEXTS.keys()) - used.keys():
        raise Refusal(f"nothing to replace any more: {', '.join(sorted(unused))}")
    return _tidied(made)


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Yield the classes to derive: all but calls, values (decorated) and `TypedDict`s."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.decorator_list:
            bases = {ast.unparse(base) for base in node.bases}
            if not node.name.endswith("Calls") and "TypedDict" not in bases:
                yield node


def _module(
    text: str, tree: ast.Module, name: str, names: Mapping[str, str], used: Counter[str]
) -> str:
    lines = text.splitlines(keepends=True)
    imports = [node for node in tree.body if _is_import(node)]
    head = _renamed("".join(_lines(lines, node) for node in imports), names, used)
    body = "\n\n".join(_awaited(_lines(lines, node)) for node in _classes(tree))
    body = _renamed(body, names, used)
    # A derived class comes from the derived module.
    head = re.sub("from evrun[.]resources[.](.+ import Async)", r"from evrun.aio.\1", head)
    defined = {each for node in tree.body for each in _defined(node)}
    named = {each.id for each in ast.walk(ast.parse(body)) if isinstance(each, ast.Name)}
    if borrowed := sorted(defined & named):
        own = name.removesuffix(".py").replace("/", ".")
        taken = f"from evrun.{own} import {', '.join(borrowed)}\n"
        head = head.replace("if TYPE_CHECKING:\n", f"{taken}\nif TYPE_CHECKING:\n")
    head += "from collections.abc import AsyncIterable, AsyncIterator\n"
    said = (ast.get_docstring(tree) or "").split("\n")[0]
    head = f'"""{said}\n\nThe calls are awaited.\n"""\n\n{head}'
    return f"{_HEADER.format(name=name)}{head}\n\n{body}"


def _is_import(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.Import | ast.ImportFrom)


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (each.id for each in node.targets if isinstance(each, ast.Name))


def _lines(lines: list[str], node: ast.stmt) -> str:
    return "".join(lines[node.lineno - 1 : node.end_lineno])


def _awaited(text: str) -> str:
    """Return a class whose public methods are awaited; an `iter_…` is iterated over."""
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.ClassDef)  # noqa: S101 - it is the source of one
    inserted: list[tuple[int, int, str]] = []
    for method in node.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        for argument in method.args.args:
            if argument.arg == "items" and (kind := argument.annotation):
                both = f" | Async{ast.unparse(kind)}"
                inserted.append((kind.end_lineno or 0, kind.end_col_offset or 0, both))
        if not method.name.startswith(("_", "iter_")) and not method.decorator_list:
            inserted += _insertions(method)
    lines = text.splitlines(keepends=True)
    for line, column, addition in sorted(inserted, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:column] + addition + old[column:]
    return "".join(lines)


def _insertions(method: ast.FunctionDef) -> Iterator[tuple[int, int, str]]:
    yield method.lineno, method.col_offset, "async "
    for each in ast.walk(method):
        if isinstance(each, ast.Return) and isinstance(each.value, ast.Call):
            if ast.unparse(each.value).startswith(_WAITS):
                yield each.value.lineno, each.value.col_offset, "await "
        elif isinstance(each, ast.For) and ast.unparse(each.iter).startswith("self.iter_"):
            yield each.lineno, each.col_offset, "async "


def _renamed(text: str, names: Mapping[str, str], used: Counter[str]) -> str:
    """Return the text with other names: as names in code, and behind a backtick in docstrings."""
    quoted = re.compile(rf"`({'|'.join(names.keys() - NAMES.keys())})\b(?=[`.])")
    lines = text.splitlines(keepends=True)
    for token in reversed([*tokenize.generate_tokens(io.StringIO(text).readline)]):
        new = token.string
        if token.type == tokenize.NAME and new in names:
            used[new] += 1
            new = names[new]
        elif token.type == tokenize.STRING:
            new = quoted.sub(lambda match: f"`{names[match[1]]}", new)
        if new != token.string:
            (first, start), (last, end) = token.start, token.end
            joined = lines[first - 1][:start] + new + lines[last - 1][end:]
            lines[first - 1 : last] = [joined]
    text = "".join(lines)
    for old, other in TEXTS.items():
        used[old] += text.count(old)
        text = text.replace(old, other)
    return text


def _tidied(made: Mapping[str, str]) -> dict[str, str]:
    """Return the modules with the imports that they use, in our format. Raises `Refusal`."""
    fix = ("check", "--select", "F401,I,TC", "--fix", "--unsafe-fixes")
    options = ("--quiet", "--no-cache", "--config", "pyproject.toml")
    with TemporaryDirectory() as folder:
        for name, text in made.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        for command in (fix, ("format",)):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, *options, folder],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Refusal(f"ruff: {shorten(done.stderr or done.stdout)}")
        return {name: Path(folder, name).read_text(encoding="utf-8") for name in made}
