"""A run that is killed at any moment leaves the old tree or the new one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import regenerate
from _regenerate import replacing, tree

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(regenerate.__file__)

DOCUMENT = """\
openapi: 3.1.0
info: {title: Pets, version: "1"}
paths:
  /pets:
    get:
      operationId: Pets_list
      responses:
        "200":
          description: All.
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
components:
  schemas:
    Pet: {type: object, properties: {name: {type: string, description: NAME}}}
"""


def files(text: str) -> dict[str, bytes]:
    """Return a small tree that says which of two it is."""
    names = (tree.MANIFEST, "evrun_api/__init__.py", "evrun_api/api/x.py", "evrun_models/y.py")
    return {name: text.encode() for name in names}


def put(folder: Path, content: dict[str, bytes]) -> None:
    for name, text in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def build(spec: Path, stage: Path) -> dict[str, bytes]:
    """Stand in for both generators, which take a second and write below `stage` alone."""
    put(stage / replacing.NEW, files("new"))
    return files("new")


def in_two_renames(one: Path, other: Path) -> bool:
    """Stand in for a system that cannot exchange folders."""
    return False


def killed(output: Path, moment: int, exchange: Callable[[Path, Path], bool]) -> bool:
    """Write the new tree in a process that kills itself at its so many-th touch of the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Threads of other tests may be left.
        child = os.fork()
    if child == 0:
        touched = 0

        def hook(event: str, _arguments: object) -> None:
            nonlocal touched
            if event.startswith(("os.", "shutil.", "open", "ctypes.")):
                touched += 1
                if touched == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        regenerate.build = build
        replacing.exchange = exchange  # type: ignore[assignment]
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            sys.stdout = sys.stderr = nowhere
            sys.addaudithook(hook)
            os._exit(regenerate.write(output, output, overlay=None, accepted=False))
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("exchange", [replacing.exchange, in_two_renames])
def test_a_kill_at_any_touch_of_the_disk(
    tmp_path: Path, exchange: Callable[[Path, Path], bool]
) -> None:
    """Every one of them in turn: the tree is whole, or the next run makes it whole again."""
    seen = set()
    left: dict[str, bytes] = {}
    moment, going = 0, True
    while going:
        moment += 1
        output = tmp_path / str(moment) / "generated"
        put(output, files("old"))
        (output / tree.HAND_WRITTEN).write_text("By hand.\n")
        going = killed(output, moment, exchange)
        if exchange is replacing.exchange:
            assert tree.read(output) in (files("old"), files("new")), moment
        replacing.recover(output)
        left = tree.read(output)
        assert left in (files("old"), files("new")), moment
        assert (output / tree.HAND_WRITTEN).read_text() == "By hand.\n"
        assert [path.name for path in output.parent.iterdir()] == ["generated"]
        seen.add(left[tree.MANIFEST])
    assert moment > 30
    assert seen == {b"old", b"new"}
    assert left == files("new")


def run(spec: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, "--spec", spec, "--output", spec.parent / "generated"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(spec: Path) -> dict[str, bytes]:
    """Return the tree after a run; a generator that outlived a killed one holds the lock."""
    while True:
        process = run(spec)
        _, said = process.communicate()
        if process.returncode == 0:
            return tree.read(spec.parent / "generated")
        assert "another run of scripts/regenerate.py is at work" in said
        time.sleep(0.05)


def both(folder: Path) -> tuple[Path, dict[bytes, dict[str, bytes]]]:
    """Return the document's path, and the tree of each of its two contents."""
    spec = folder / "spec.yaml"
    trees = {}
    for name in ("first", "second"):
        spec.write_text(DOCUMENT.replace("NAME", name))
        trees[spec.read_bytes()] = finished(spec)
    assert len({str(each) for each in trees.values()}) == 2
    return spec, trees


def kill_one(spec: Path, trees: dict[bytes, dict[str, bytes]], wait: Callable[[str], None]) -> None:
    """Kill a run that would change the tree, and hold what is left against both trees."""
    current = tree.read(spec.parent / "generated")
    (other,) = (content for content, made in trees.items() if made != current)
    spec.write_bytes(other)
    process = run(spec)
    wait(process.stderr.readline() if process.stderr else "")
    process.kill()
    process.communicate()
    left = tree.read(spec.parent / "generated")
    assert left in trees.values()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_kills_at_random_moments(tmp_path: Path) -> None:
    """25 runs killed anywhere between their first step and their end leave one of two trees."""
    spec, trees = both(tmp_path)
    start = time.monotonic()
    finished(spec)
    length = time.monotonic() - start
    moments = random.Random(4)  # noqa: S311 -- the same moments each time
    for _ in range(25):
        kill_one(spec, trees, lambda _: time.sleep(moments.uniform(0, length)))
    assert finished(spec) == trees[spec.read_bytes()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated", "spec.yaml"]
