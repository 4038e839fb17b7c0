"""Run the generators and ruff, each in a process of its own; a complaint becomes one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from _openapi.document import pointer
from _openapi.refusal import Refusal, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TOOLS = ("openapi-python-client", "datamodel-code-generator", "ruff")
"""What shapes the output, by distribution; each is pinned to one version."""

TIMEOUT = 300.0
"""Seconds for one tool. It takes one; this is for a document that makes it hang."""

_EXACT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*==\s*([^\s;,]+)\s*")
_NOISE = re.compile(r"^((Warning|Error)\(s\) encountered|If you believe this was).*$", re.MULTILINE)
_HEADERS = (
    re.compile(r"Unable to parse schema /components/schemas/(?P<schema>[^\s/:]+)"),
    re.compile(r"Unable to process schema /components/schemas/(?P<schema>[^\s/:]+)"),
    re.compile(r"WARNING parsing (?P<method>[A-Z]+) (?P<url>/\S*) within"),
)
"""How openapi-python-client heads its problems; a cause stands before what follows from it."""


def pins(requirements: Iterable[str]) -> dict[str, str]:
    """Return the exact version of each tool, from requirements such as `ruff==0.17.6`."""
    found = {match[1]: match[2] for line in requirements if (match := _EXACT.fullmatch(line))}
    if missing := [tool for tool in TOOLS if tool not in found]:
        raise Refusal(f"must pin {', '.join(missing)} with ==", where="pyproject.toml")
    return {tool: found[tool] for tool in TOOLS}


def check_versions(pinned: Mapping[str, str]) -> None:
    """Refuse to work with other versions: the output is compared byte for byte."""
    wrong = []
    for tool, version in pinned.items():
        try:
            installed = metadata.version(tool)
        except metadata.PackageNotFoundError:
            installed = "none"
        if installed != version:
            wrong.append(f"{tool} {installed} (wanted {version})")
    if wrong:
        command = " ".join(f"{tool}=={version}" for tool, version in pinned.items())
        raise Refusal(
            f"{sys.executable} has {', '.join(wrong)};"
            f" run: {sys.executable} -m pip install {command}"
        )


def options(settings: Mapping[str, Any]) -> list[str]:
    """Return command-line options from a mapping of their long names."""
    found = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        found += [f"--{name}", *(str(each) for each in values if each is not True)]
    return found


def generate(document: Path, tree: Path, settings: Path, header: str) -> None:
    """Write `evrun_api` and `evrun_models` into `tree`, both generators at once."""
    models = YAML(typ="safe").load(settings / "datamodel-code-generator.yaml")
    (tree / "evrun_models").mkdir(parents=True)
    client_command = (
        *("openapi_python_client", "generate", "--path", str(document)),
        *("--config", str(settings / "openapi-python-client.yaml"), "--meta", "none"),
        *("--custom-template-path", str(settings / "templates"), "--fail-on-warning"),
        *("--output-path", str(tree / "evrun_api")),
    )
    models_command = (
        *("datamodel_code_generator", "--input", str(document)),
        *("--output", str(tree / "evrun_models" / "__init__.py")),
        *("--custom-file-header", header, *options(models)),
    )
    with ThreadPoolExecutor(2) as both:
        waiting = [
            both.submit(_run, "openapi-python-client", client_command, tree),
            both.submit(_run, "datamodel-code-generator", models_command, tree),
        ]
    for each in waiting:
        each.result()
    for package in ("evrun_api", "evrun_models"):
        # A marker for type-checkers (PEP 561); neither generator writes one here.
        (tree / package / "py.typed").touch()


def tidy(tree: Path, settings: Path) -> None:
    """Sort imports, drop unused ones and format, whatever ruff configuration surrounds `tree`."""
    common = ("--no-cache", "--quiet", "--config", str(settings / "ruff.toml"), ".")
    _run("ruff", ("ruff", "check", "--fix-only", *common), tree)
    _run("ruff", ("ruff", "format", *common), tree)


def environment() -> dict[str, str]:
    """Return an environment in which a tool's output hangs on its input alone."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return kept | {
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }


def _run(tool: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a module of this interpreter's environment, so that PATH does not matter.

    Any complaint counts as failure: a generator that warns has left something out.
    """
    try:
        done = subprocess.run(
            # -P: nothing in `folder`, which holds what is being made, can pass for a library.
            [sys.executable, "-P", "-m", *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
            close_fds=False,  # It inherits the lock, see `replacing.locked`.
        )
    except subprocess.TimeoutExpired:
        raise Refusal(f"{tool} had not finished after {TIMEOUT:.0f} seconds") from None
    if done.returncode or done.stderr.strip():
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        place, problem = complaint(said)
        raise Refusal(f"{tool}: {problem}", pointer=place)


def complaint(said: str) -> tuple[str, str]:
    """Return the JSON pointer (`#` where none is named) and the text of the problem to mend first.

    One bad schema makes openapi-python-client complain of each place that uses it, before the
    schema itself.
    """
    blocks = [block.strip() for block in _NOISE.sub("", said).split("\n\n")]
    blocks = [block for block in blocks if block]
    if "Traceback (most recent call last)" in said:
        return "#", shorten(said.strip().splitlines()[-1])
    for header in _HEADERS:
        for block, detail in zip(blocks, [*blocks[1:], ""], strict=True):
            if match := header.match(block):
                found = match.groupdict()
                place = (
                    ("paths", found["url"], found["method"].lower())
                    if "url" in found
                    else ("components", "schemas", found["schema"])
                )
                return pointer(*place), shorten(f"{block} {detail}")
    return "#", shorten(" ".join(blocks))
