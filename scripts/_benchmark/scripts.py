"""How long a maintainer waits for the scripts. Each is run as a person runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _benchmark.case import Figure, Inputs, Unusable, seconds

ROOT = Path(__file__).resolve().parents[2]


def regenerate(inputs: Inputs) -> list[Figure]:
    """Regenerate from a changed contract, with all gates; the type-checker's cache is warm."""
    contract = (ROOT / "openapi" / "openapi.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        spec, output = Path(folder, "openapi.yaml"), Path(folder, "generated")
        shutil.copytree(ROOT / "generated", output)
        edition = iter(range(inputs.repeat + 1))

        def once() -> None:
            # Other words each time: nothing is type-checked where nothing changes.
            spec.write_text(
                contract.replace("\ninfo:\n", f"\ninfo:\n  x-edition: {next(edition)}\n", 1),
                encoding="utf-8",
            )
            _run(
                "regenerate.py", "--spec", spec, "--output", output, "--overlay", ROOT / "overlays"
            )

        once()  # Warms the cache.
        taken = seconds(once, inputs.repeat)
    return [Figure("regenerate: our contract, all gates", taken, "s", at_most=6)]


def import_whole(inputs: Inputs) -> list[Figure]:
    """Import every operation of a vendor's document, and regenerate from that."""
    if inputs.spec is None:
        raise Unusable("needs --spec: a vendor's whole document")
    with tempfile.TemporaryDirectory() as folder:
        patches, spec, output = (Path(folder, name) for name in ("patches", "openapi.yaml", "out"))
        patches.write_text("actions: []\n", encoding="utf-8")

        def take() -> None:
            named = ("--patches", patches, "--output", spec)
            _run("import_spec.py", inputs.spec or "", "--all", *named)

        def once() -> None:
            shutil.rmtree(output, ignore_errors=True)
            _run("regenerate.py", "--spec", spec, "--output", output)

        importing = seconds(take, inputs.repeat)
        generating = seconds(once, inputs.repeat)
    return [
        Figure("import: the whole document", importing, "s"),
        Figure("regenerate: the whole document", generating, "s", at_most=10),
    ]


def spec_diff(inputs: Inputs) -> list[Figure]:
    """Compare two revisions of a document."""
    if not inputs.specs:
        raise Unusable("needs --specs: two revisions of a document")
    taken = seconds(lambda: _run("spec_diff.py", *inputs.specs, fine=(0, 1)), inputs.repeat)
    return [Figure("spec-diff: two revisions", taken, "s", at_most=1)]


def _run(script: str, *arguments: str | Path, fine: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in fine:
        raise Unusable(
            f"{script} ended with {done.returncode}: {done.stderr.strip() or done.stdout}"
        )
