#!/usr/bin/env python
"""Regenerate `generated/` from the contract, `openapi/openapi.yaml`.

    python scripts/regenerate.py            # write generated/
    python scripts/regenerate.py --check    # say whether it is as this script would write it
    python scripts/regenerate.py --spec NEW # from another contract; say what it breaks, and stop

Both generators write into a staging folder; what they wrote is formatted and proved complete and
importable, and only then takes the place of the old tree, in one step. A document that cannot be
used, or a tool of another version, is one line on standard error and leaves everything as it was.

exit status: 0 written or fresh, 1 stale (--check) or the overlay would break, 2 unusable document,
environment or command
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from _openapi.document import load
from _openapi.refusal import Refusal
from _regenerate import contract, generators, inert, proof, replacing
from _regenerate import tree as trees

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "openapi" / "openapi.yaml"
GENERATED = ROOT / "generated"
SETTINGS = ROOT / "openapi" / "generators"
OVERLAYS = ROOT / "overlays"
FRESH, STALE, BROKEN, UNUSABLE = 0, 1, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(argv)
    # A plain kill unwinds like Ctrl-C, so that the staging folder goes.
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        # The last part may be a symbolic link, which `check_replaceable` refuses.
        output = options.output.parent.resolve() / options.output.name
        if options.check:
            return check(options.spec, output, command=_command(options))
        return write(
            options.spec, output, overlay=_overlay(options), accepted=options.accept_breaking
        )
    except Refusal as refusal:
        print(f"regenerate: {refusal}", file=sys.stderr)
        return UNUSABLE
    except OSError as error:
        print(f"regenerate: {error.filename}: {error.strerror}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("regenerate: interrupted, nothing was replaced", file=sys.stderr)
        return 128 + signal.SIGINT


def write(spec: Path, output: Path, *, overlay: Path | None, accepted: bool) -> int:
    """Build the tree and put it in the place of `output`, unless it is the same.

    Stops with 1, before anything is replaced, if `overlay` would break and that is not `accepted`.
    """
    with replacing.locked(output, exclusive=True):
        replacing.recover(output)
        replacing.check_replaceable(output)
        stage = replacing.staging(output)
        try:
            files = build(spec, stage)
            actual = trees.read(output)
            differences = trees.compare(files, actual)
            if overlay and differences and _breaks(spec, stage, output, overlay) and not accepted:
                print(f"{output.name}/ is untouched; --accept-breaking regenerates all the same")
                return BROKEN
            if differences or not output.exists():
                with _step(f"replaced {output.name}/"):
                    replacing.replace(stage, output, exchange=replacing.exchange)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    for kind, path in differences:
        if kind == "stray":
            print(f"removed   {path}")
    changes = f"{len(differences)} changed" if differences else "unchanged"
    print(f"{output.name}/: {len(files)} files, {changes}")
    return FRESH


def _breaks(spec: Path, stage: Path, output: Path, overlay: Path) -> bool:
    """Print what the staged tree does to the overlay; return whether something breaks."""
    from _regenerate import impact  # noqa: PLC0415 - not for `--check`

    # From another document: the contract is what it was before.
    contracts = None if spec.samefile(CONTRACT) else (load(CONTRACT), load(spec))
    with _step("type-checked the overlay"):
        found = impact.assess(
            overlay,
            stage / replacing.NEW,
            current=output,
            contracts=contracts,
            cache=ROOT / ".mypy_cache" / "regenerate",
        )
    if contracts or found.broken:
        print("\n".join(found.lines()))
    return bool(found.broken)


def check(spec: Path, output: Path, *, command: str) -> int:
    """Build the tree elsewhere and compare; name `command` if stale. Never touches `output`."""
    with (
        replacing.locked(output, exclusive=False),
        tempfile.TemporaryDirectory(prefix="evrun-regenerate-") as folder,
    ):
        expected = build(spec, Path(folder))
        actual = trees.read(output)
    differences = trees.compare(expected, actual)
    if not differences:
        print(f"{output.name}/ is fresh ({len(expected)} files)")
        return FRESH
    print("\n".join(trees.report(differences, expected, actual)))
    kinds = [difference.kind for difference in differences]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(sorted(kinds)))
    print(f"\n{output.name}/ is stale: {counts}. Run: {command}")
    return STALE


def build(spec: Path, stage: Path) -> dict[str, bytes]:
    """Make the whole tree in `stage`, prove it, and return its files."""
    pinned = _pinned()
    generators.check_versions(pinned)
    with _step(f"read {spec.name}"):
        document = contract.read(_text(spec), _name(spec))
    try:
        return _build(document, stage / replacing.NEW, pinned)
    except Refusal as refusal:
        raise document.located(refusal) from refusal.__cause__


def _build(document: contract.Contract, tree: Path, pinned: dict[str, str]) -> dict[str, bytes]:
    tree.mkdir(parents=True)
    source = tree.parent / "openapi.json"
    source.write_text(document.json, encoding="utf-8")
    with _step("ran both generators"):
        generators.generate(source, tree, SETTINGS, trees.HEADER)
    with _step("formatted"):
        generators.tidy(tree, SETTINGS)
    for package in replacing.PACKAGES:
        path = tree / package / trees.ORIGIN
        path.write_text(trees.origin(document.sha256), encoding="utf-8", newline="\n")
    for path in tree.rglob("*.py"):
        text = trees.with_header(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8", newline="\n")
    inert.check(trees.read(tree))
    with _step(f"proved {len(document.operations)} operations, {len(document.schemas)} schemas"):
        files = trees.read(tree)
        modules = proof.operation_modules(document.operations, files)
        proof.check_models(document.schemas, files["evrun_models/__init__.py"])
    with _step("imported every module"):
        proof.check_imports(tree, files)
    manifest = trees.manifest(
        files,
        contract=document.sha256,
        tools=pinned,
        # Explanations beside the settings may change without a new tree.
        settings={
            name: content
            for name, content in trees.read(SETTINGS).items()
            if name.endswith((".yaml", ".toml", ".jinja"))
        },
        operations=modules,
    )
    (tree / trees.MANIFEST).write_text(manifest, encoding="utf-8", newline="\n")
    return trees.read(tree)


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes a stale tree fresh."""
    parts = ["python", "scripts/regenerate.py"]
    for name, default in (("spec", CONTRACT), ("output", GENERATED)):
        if (path := getattr(options, name)) != default:
            parts += [f"--{name}", str(path)]
    return shlex.join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if stale")
    parser.add_argument(
        "--spec",
        type=Path,
        default=CONTRACT,
        help="the contract, OpenAPI 3.0 or 3.1 in YAML or JSON (default: openapi/openapi.yaml)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=GENERATED,
        help="the folder to write or compare (default: generated)",
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        help="what stands on the output and must not break (default: overlays, for generated)",
    )
    parser.add_argument(
        "--accept-breaking", action="store_true", help="write even if the overlay would break"
    )
    return parser


def _overlay(options: argparse.Namespace) -> Path | None:
    """Return the overlay to protect: ours stands on generated/, nothing on a scratch folder."""
    if options.overlay is not None:
        return Path(options.overlay).resolve()
    return OVERLAYS if options.output.resolve() == GENERATED else None


def _pinned() -> dict[str, str]:
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        requirements: list[str] = project["optional-dependencies"]["dev"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise Refusal(f"has no readable 'dev' extra: {error}", where="pyproject.toml") from error
    return generators.pins(requirements)


def _text(spec: Path) -> str:
    try:
        return spec.read_text(encoding="utf-8")
    except OSError as error:
        raise Refusal(f"cannot be read: {error.strerror}", where=_name(spec)) from error
    except UnicodeDecodeError as error:
        raise Refusal(f"is not UTF-8: {error.reason}", where=_name(spec)) from error


def _name(spec: Path) -> str:
    """Return how messages name a document: from the top folder where it lies below that."""
    spec = spec.resolve()
    return spec.relative_to(ROOT).as_posix() if spec.is_relative_to(ROOT) else str(spec)


@contextmanager
def _step(done: str) -> Iterator[None]:
    """Say how long a step took; on a terminal, also what is under way."""
    start = time.perf_counter()
    terminal = sys.stderr.isatty()
    if terminal:
        print(f"    …    {done}", end="\r", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        if terminal:  # What went wrong is said on a line of its own.
            print("\x1b[2K", end="", file=sys.stderr, flush=True)
        raise
    print(f"{time.perf_counter() - start:5.2f} s  {done}", file=sys.stderr)


def _interrupted(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
