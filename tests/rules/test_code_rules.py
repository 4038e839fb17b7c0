"""Rules of the code base: who imports what, sync and async alike, what is exported."""

from __future__ import annotations

import ast
import inspect
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evrun
from evrun import AsyncEvrun, Evrun, errors, ids, run
from evrun.resources import (
    datapoints,
    datasets,
    evaluations,
    evaluators,
    logs,
    model_configs,
    projects,
    sessions,
)
from evrun.resources._evaluation_calls import EvaluationCalls, RunFilters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "overlays" / "evrun"
MODULES = sorted(OVERLAY.rglob("*.py"))
OFFERED = (
    (datapoints, "Datapoints"),
    (datasets, "Datasets"),
    (evaluations, "Evaluations"),
    (evaluators, "Evaluators"),
    (logs, "Logs"),
    (model_configs, "ModelConfigs"),
    (projects, "Projects"),
    (sessions, "Sessions"),
    (run, "Run"),
)
"""What the clients offer."""

# Imports run one way: a room may import itself and the rooms above its line, which stand below it.
# Those for type-checkers only count too.
ROOMS = (
    # An error carries what was sent.
    ("errors", "_version", "_base"),
    ("ids",),
    ("results", "sorting", "middleware", "fields"),
    ("logged",),
    ("_transport",),
    ("_calls",),
    ("_bulk",),
    ("resources",),
    ("run", "raw", "aio"),
    ("_client",),
    ("client",),
    ("",),  # evrun/__init__.py
    ("transfer", "testing"),
    ("cli", "__main__"),
)
WINGS = (("errors",), ("db",), ("store",), ("api",), ("hosting",), ("",))
"""The same, of the server."""
LENT_TO_THE_SERVER = {"errors", "_version", "_base"}
OPENS_A_SERVER = {"_client", "client", "testing", "cli"}


def module_of(path: Path) -> str:
    parts = path.relative_to(OVERLAY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ALL = {module_of(path) for path in MODULES}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that `path` imports, those for type-checkers only too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in ALL else node.module


def room(module: str, rooms: Sequence[Sequence[str]], house: str) -> int:
    first = module.removeprefix(house).lstrip(".").split(".")[0]
    return next(rank for rank, names in enumerate(rooms) if first in names)


def is_below(own: str, other: str) -> bool:
    """Whether `own` may import `other`: both are modules of ours."""
    server = "evrun.server"
    if own.startswith(server):
        if not other.startswith(server):
            return other.split(".")[1] in LENT_TO_THE_SERVER
        return room(other, WINGS, server) <= room(own, WINGS, server)
    if other.startswith(server):
        return own.split(".")[1] in OPENS_A_SERVER
    return room(other, ROOMS, "evrun") <= room(own, ROOMS, "evrun")


def test_generated_code_is_imported_in_few_places() -> None:
    """Resources and clients import the generated client, the server the generated models.

    `evrun doctor` reads the contract's hash.
    """
    allowed = {"_calls", "_bulk", "resources", "aio", "_client.py", "run.py"}
    for path in MODULES:
        place = path.relative_to(OVERLAY).parts[0]
        tops = {name.split(".")[0] for name in imports(path)}
        if "evrun_api" in tops:
            assert place in allowed or path == OVERLAY / "cli" / "doctor.py"
        if "evrun_models" in tops:
            assert place == "server"


def test_imports_run_one_way() -> None:
    """Cli → client → run → resources → bulk → calls → transport → errors; and within the server.

    There: hosting → api → store → db → errors.
    """
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in MODULES
        for name in imports(path)
        if name in ALL and not is_below(module_of(path), name)
    ]
    assert wrong == []


def test_a_module_is_one_concept() -> None:
    """A module is named for what it is, and stays below 500 lines."""
    for path in MODULES:
        assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path


def public(kind: type[Any]) -> dict[str, Any]:
    renamed = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
    members = {renamed.get(name, name): value for name, value in vars(kind).items()}
    return {
        name: getattr(value, "__func__", value)
        for name, value in members.items()
        if not name.startswith("_")
    }


BY_KIND = {"http_client", "transport", "middleware"}
"""Parameters that take another type in a client that is awaited."""


def test_both_clients_are_mirrors() -> None:
    """The same names with the same parameters, defaults and results, awaited or not.

    The clients are written by hand. What they offer is derived.
    """
    assert list(public(AsyncEvrun)) == list(public(Evrun))
    for name, method in public(Evrun).items():
        if not inspect.isfunction(method):
            continue
        mirror = public(AsyncEvrun)[name]
        ours, theirs = inspect.signature(method), inspect.signature(mirror)
        expected = [p for p in ours.parameters.values() if p.name not in BY_KIND]
        assert [p for p in theirs.parameters.values() if p.name not in BY_KIND] == expected, name
        if name not in {"run", "local"}:
            assert ours.return_annotation == theirs.return_annotation, name
            assert inspect.iscoroutinefunction(mirror), name


def test_every_public_method_is_documented() -> None:
    """A method says what it does. A text in a hover is not "Like X": nobody sees X there."""
    offered = [getattr(module, name) for module, name in OFFERED]
    for kind in (Evrun, AsyncEvrun, *offered):
        for name, method in public(kind).items():
            assert getattr(method, "__doc__", None) or not callable(method), name
    for kind in offered:
        assert not [each for each in public(kind).values() if "Like `" in (each.__doc__ or "")]


def test_every_filter_is_sent() -> None:
    """A keyword that a `TypedDict` of filters declares is read where the list is bound."""
    for calls, filters in (
        (EvaluationCalls, RunFilters),
        (logs.LogCalls, logs.LogFilters),
        (projects.ProjectCalls, projects.ProjectFilters),
    ):
        source = inspect.getsource(calls.list)
        unread = [name for name in filters.__annotations__ if f'filters.get("{name}"' not in source]
        assert unread == []


def test_the_package_exports_its_names_and_nothing_else() -> None:
    """`__all__` is sorted, complete and real, and the module has no logic."""
    assert sorted(evrun.__all__) == evrun.__all__
    assert {*errors.__all__, *ids.__all__} - {"PlainStr"} <= set(evrun.__all__)
    tree = ast.parse((OVERLAY / "__init__.py").read_text(encoding="utf-8"))
    allowed = (ast.ImportFrom, ast.Assign, ast.Expr)
    assert all(isinstance(node, allowed) for node in tree.body)
    assert all(hasattr(evrun, name) for name in evrun.__all__)
    assert dir(evrun) == evrun.__all__


def test_the_version_is_said_once() -> None:
    """The User-Agent and the packaging metadata agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == evrun.__version__


def test_the_base_install_stays_light() -> None:
    """Two dependencies, and no third without a decision."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(d.split(">")[0] for d in project["dependencies"]) == ["attrs", "httpx"]
