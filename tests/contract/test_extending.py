"""The worked examples in `overlays/README.md` do what they say, taken from there as they stand."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import derive_async
from evrun import Evrun
from evrun.errors import NotFoundError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "overlays" / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    (language, textwrap.dedent(code))
    for language, code in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
]

PROGRAM = """
import asyncio, json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from evrun import AsyncEvrun, Evrun

class Api(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.dumps({
            "id": self.path.split("/")[3], "projects": [], "datapoints_count": 0,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

async def awaited(url):
    async with AsyncEvrun(api_key="k", base_url=url) as client:
        return await client.sessions.close("sesh_2")

server = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v4"
with Evrun(api_key="k", base_url=url) as client:
    print(repr(client.sessions.close("sesh_1").id), repr(asyncio.run(awaited(url)).id))
server.shutdown()
server.server_close()
"""


def python(number: int) -> str:
    return [code for language, code in BLOCKS if language == "python"][number]


@pytest.mark.typing
def test_a_helper_over_a_generated_operation(tmp_path: Path) -> None:
    """It type-checks, finds what there is and fails with our errors."""
    (tmp_path / "helper.py").write_text(python(0), encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--strict"),
            *("--follow-imports=silent", "helper.py"),
        ],
        cwd=tmp_path,
        env=path_of(ROOT / "overlays", ROOT / "generated", name="MYPYPATH"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names: dict[str, object] = {}
    exec(compile(python(0), "README.md", "exec"), names)  # noqa: S102 -- our own page
    project_ids, log_answers = names["project_ids"], names["log_answers"]
    assert callable(project_ids)
    assert callable(log_answers)
    with Evrun.local(tmp_path / "evals.db") as client:
        made = [client.projects.create(name=name) for name in ("capitals", "rivers")]
        assert project_ids(client) == {each.name: each.id for each in made}
        with pytest.raises(NotFoundError):
            log_answers(client, "evrun_1", {"row": "Lima"})


def path_of(*folders: Path, name: str) -> dict[str, str]:
    return {**os.environ, name: os.pathsep.join(map(str, folders))}


@pytest.mark.typing
def test_an_operation_of_the_contract(tmp_path: Path) -> None:
    """Said in the contract, generated, bound in a resource: type-checked and called both ways."""
    (yaml,) = [code for language, code in BLOCKS if language == "yaml"]
    contract = (ROOT / "openapi" / "openapi.yaml").read_text(encoding="utf-8")
    spec = tmp_path / "openapi.yaml"
    added = f"\npaths:\n{textwrap.indent(yaml, '  ')}"
    spec.write_text(contract.replace("\npaths:\n", added, 1), encoding="utf-8")
    overlay = tmp_path / "overlays"
    shutil.copytree(ROOT / "overlays", overlay, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "generated", tmp_path / "generated")
    regenerate(tmp_path)
    resource = overlay / "evrun" / "resources" / "sessions.py"
    resource.write_text(extended(resource.read_text(encoding="utf-8")), encoding="utf-8")
    assert derive_async.main(["--overlay", str(overlay)]) == 0
    # Another word in the contract makes it look again, now with the new methods in place.
    spec.write_text(spec.read_text().replace("Close a session", "Close it"), encoding="utf-8")
    assert "unaffected, of" in regenerate(tmp_path)
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        cwd=tmp_path,
        env=path_of(overlay, tmp_path / "generated", name="PYTHONPATH"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "SessionId('sesh_1') SessionId('sesh_2')\n", done.stderr


def extended(source: str) -> str:
    """Return the resource with the README's methods at the end of its two classes."""
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    lines = source.splitlines(keepends=True)
    places = zip(("SessionCalls", "Sessions"), (1, 2), strict=True)
    for name, number in sorted(places, reverse=True, key=lambda each: classes[each[0]].lineno):
        method = textwrap.indent(textwrap.dedent(python(number)), "    ")
        lines.insert(classes[name].end_lineno or 0, f"\n{method}")
    return "".join(lines).replace(
        "import sessions_create,", "import sessions_close, sessions_create,"
    )


def regenerate(folder: Path) -> str:
    """Run the script over a scratch copy of the project; return what it reports."""
    named = {"--spec": "openapi.yaml", "--output": "generated", "--overlay": "overlays"}
    command = [sys.executable, str(ROOT / "scripts" / "regenerate.py")]
    for option, path in named.items():
        command += [option, path]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
