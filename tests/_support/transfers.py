"""What tests of exporting and importing share: servers with something on them, and comparing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from evrun.transfer import formats
from evrun.transfer.exporting import Export
from evrun.transfer.importing import Import
from evrun.transfer.ledger import Ledger
from evrun.transfer.records import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from evrun import Evrun
    from evrun.results import EvaluationRun

ID = re.compile(r"\b(?:pr|evts|evtc|evfn|evrun|config|data|sesh|evres|ann|evv)_[0-9A-Za-z]{21}\b")


def make_run(
    client: Evrun,
    logs: Iterable[Mapping[str, Any]] = (),
    *,
    project: str = "capitals",
    row: Mapping[str, Any] | None = None,
) -> EvaluationRun:
    """Make a run with a datapoint for each of `logs`, which are logged and judged."""
    given = list(logs)
    found = [each for each in client.projects.iter_all() if each.name == project]
    home = found[0] if found else client.projects.create(name=project)
    dataset = client.datasets.create(home.id, name="rows", description="")
    rows = client.datasets.create_datapoints(
        dataset.id, datapoints=[row or {"inputs": {"n": str(n)}} for n in range(len(given))]
    )
    evaluators = [
        client.evaluators.create(
            name="exact match",
            description="",
            arguments_type="target_free",
            return_type=kind,
        )
        for kind in ("boolean", "number")
    ]
    tools = [
        {
            "name": "look up",
            "parameters": {"type": "object"},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": None},
        }
    ]
    config = client.model_configs.register(
        {"project_id": home.id, "model": "m", "temperature": 0.5, "tools": tools}
    )
    created = client.evaluations.create(
        project_id=home.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[each.id for each in evaluators],
    )
    run = client.run(created.id)
    run.start()
    for number, (datapoint, log) in enumerate(zip(rows, given, strict=True)):
        logged = run.log(datapoint.id, log=log)
        run.result(logged.id, evaluator_id=evaluators[0].id, result=number % 2 == 0)
        run.result(logged.id, evaluator_id=evaluators[1].id, error="it did not answer")
    return run.get()


def write(client: Evrun, subject: str, path: Path) -> Export:
    """Export to a file, in the format that its suffix names."""
    export = Export(client, subject)
    with path.open("wb") as stream:
        formats.write(export.records(), stream, path.suffix.removeprefix("."))
    return export


def bring(client: Evrun, path: Path, ids: Path | None = None, **more: Any) -> Import:
    """Import a file."""
    with Ledger(ids) as ledger:
        called = str(path)
        imported = Import(client, lambda: formats.read(path), ledger, called=called, **more)
        imported.run()
    return imported


def meaning(path: Path) -> list[str]:
    """Return the records of a file as text, but for what only one server can say.

    Ids by the order in which they appear, and no times at which a server made something.
    """
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"{found[0].partition('_')[0]} {len(names)}")

    return [
        ID.sub(named, json.dumps(_comparable(each), default=str)) for each in formats.read(path)
    ]


def _comparable(record: dict[str, Any]) -> dict[str, Any]:
    kept = dict(sorted(record.items()))
    if record["kind"] != "log":
        kept.pop("created_at", None)
    numbers = {name: float(kept[name]) for name in kept if COLUMNS[name] == "number"}
    return {**kept, **numbers}  # 1 and 1.0 are one number to JSON
