"""Say what a new contract does to the overlay, in the names that its users know.

BROKEN: a staged type-check fails in it. AT RISK: an operation that it calls changed in a way that
types do not show: an enum grew, a pattern, a default or nullability moved.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from _openapi.refusal import Refusal, shorten
from _regenerate.generators import TIMEOUT, environment
from _spec_diff.operations import WHOLE, diff
from _spec_diff.policy import Severity
from _summary.wiring import methods_by_module, methods_calling, snake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

_ERROR = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d+): error: (?P<said>.+)")
_MISSING = re.compile(r'has no attribute "(\w+)"')


@frozen
class Fault:
    """What the type-checker says at one line of the overlay."""

    file: str
    line: int
    said: str


@define
class Impact:
    """What becomes of the overlay's public functions."""

    broken: dict[str, list[str]] = Factory(dict)
    """Why, by function; the type-checker's words with file and line."""
    at_risk: dict[str, list[str]] = Factory(dict)
    """What changed, by function."""
    unaffected: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the report, worst first."""
        for heading, found in (("BROKEN", self.broken), ("AT RISK", self.at_risk)):
            for function, reasons in sorted(found.items()):
                yield f"{heading:<8} {function}"
                yield from (f"           {reason}" for reason in reasons)
        total = len(self.broken) + len(self.at_risk) + len(self.unaffected)
        yield (
            f"{len(self.broken)} broken, {len(self.at_risk)} at risk, {len(self.unaffected)} "
            f"unaffected, of {total} public functions"
        )


def assess(
    overlay: Path,
    staged: Path,
    *,
    current: Path,
    contracts: tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    cache: Path,
) -> Impact:
    """Return what the `staged` tree does to `overlay`, which stands on the `current` one.

    `contracts` are the old and the new one; without them only what breaks is found.
    """
    impact = Impact()
    methods = public_functions(overlay)
    for fault in type_errors(overlay, staged, current=current, cache=cache):
        where = f"{fault.file}:{fault.line}: {fault.said}"
        for function in _functions(overlay / fault.file, fault, methods):
            impact.broken.setdefault(function, []).append(where)
    if contracts is not None:
        found = at_risk(*contracts, methods)
        impact.at_risk = {name: why for name, why in found.items() if name not in impact.broken}
    everything = {function for each in methods.values() for function in each}
    touched = impact.broken.keys() | impact.at_risk.keys()
    impact.unaffected = tuple(sorted(everything - touched))
    return impact


def at_risk(
    old: Mapping[str, Any], new: Mapping[str, Any], methods: Mapping[str, tuple[str, ...]]
) -> dict[str, list[str]]:
    """Return the functions whose operation changed for the worse, and what changed."""
    found: dict[str, list[str]] = {}
    changes = diff(dict(old), dict(new))
    # An operation is reported under its new name, and the overlay calls it by the old one.
    before = {each.operation: each.old for each in changes if each.kind == "operation-renamed"}
    everything = sorted({function for each in methods.values() for function in each})
    for change in changes:
        if change.severity < Severity.RISK:
            continue
        name = before.get(change.operation, change.operation)
        functions = everything if name == WHOLE else methods.get(snake(name), ())
        for function in functions:
            found.setdefault(function, []).append(f"{change.place}: {change.sentence}")
    return found


def public_functions(overlay: Path) -> dict[str, tuple[str, ...]]:
    """Return, by generated module, the functions that end in it; those of a bound run too."""
    methods = methods_by_module(overlay / "evrun" / "resources")
    bound = methods_calling(overlay / "evrun" / "run.py", "Run", "_evaluations")
    return {
        module: (*names, *(f"run.{run}" for run, own in bound if f"evaluations.{own}" in names))
        for module, names in methods.items()
    }


def type_errors(overlay: Path, staged: Path, *, current: Path, cache: Path) -> list[Fault]:
    """Return what mypy says about `overlay` over the generated packages in `staged`."""
    checked = staged.parent / "checked"
    shutil.copytree(staged, checked)
    # An installed evrun can lend a module that is gone: an empty one in its place is found first,
    # and fails where it is used.
    for path in current.rglob("*.py"):
        stub = checked / path.relative_to(current)
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.touch()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--strict"),
            *("--explicit-package-bases", "--follow-imports=silent", "--no-pretty"),
            # A library without types says nothing about the staged tree, which has them.
            *("--disable-error-code", "import-untyped"),
            *("--no-error-summary", "--no-color-output", "--python-version", "3.11"),
            *("--cache-dir", str(cache), "-p", "evrun"),
        ],
        cwd=overlay,
        env=environment() | {"MYPYPATH": os.pathsep.join([str(overlay), str(checked)])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        close_fds=False,  # It inherits the lock, see `replacing.locked`.
    )
    shutil.rmtree(checked)
    faults = [
        Fault(match["file"], int(match["line"]), match["said"])
        for match in map(_ERROR.fullmatch, done.stdout.splitlines())
        if match
    ]
    if done.returncode and not faults:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise Refusal(f"mypy: {shorten(said)}")
    return faults


def _functions(file: Path, fault: Fault, methods: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the public functions that a line belongs to, as users call them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    spots = [fault.line]
    if missing := _MISSING.search(fault.said):
        # An import fails: whoever uses the name is broken.
        spots += [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == missing[1]
        ]
    names: set[str] = set()
    for line in spots:
        names |= set(_around(tree, line, file, methods))
    return names or {".".join(file.with_suffix("").parts[file.parts.index("evrun") :])}


def _around(
    tree: ast.Module, line: int, file: Path, methods: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield the functions around a line; a private call by the public methods that make it."""
    module = ".".join(file.with_suffix("").parts[file.parts.index("evrun") :])
    public = {function for each in methods.values() for function in each}
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    around = [node for node in nodes if node.lineno <= line <= (node.end_lineno or line)]
    owners = [node.name for node in around if isinstance(node, ast.ClassDef)]
    for node in around:
        if isinstance(node, ast.ClassDef):
            continue
        bound = re.findall(r"(\w+)\.sync_detailed", ast.unparse(node))
        reached = [function for each in bound for function in methods.get(each, ())]
        named = f"{file.stem}.{node.name}"
        if reached:
            yield from reached
        elif module.startswith(("evrun.resources.", "evrun.aio.")) and named in public:
            yield named
        else:
            yield ".".join([module, *owners, node.name])
