"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from _support.commands import environment, evrun_process, serving

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
IDS = re.compile(r"\b(data|pr)_\w{21}\b")


def block(language: str, containing: str) -> str:
    """Return the README's code block in `language` that contains a text."""
    (found,) = (
        text
        for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
        if containing in text
    )
    return str(found)


def python(code: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ids_hidden(text: str) -> list[str]:
    return IDS.sub(r"\1_…", text).strip().splitlines()


def test_the_ten_lines_work_on_a_server_too(tmp_path: Path) -> None:
    """After the demo and the three commands of the page, with `Evrun()` as their comment says."""
    evrun_process("demo", cwd=tmp_path)
    create, serve, address = block("sh", "evrun serve").strip().splitlines()
    (command,) = re.findall(r"^export EVRUN_API_KEY=\$\(evrun (.*)\)$", create)
    key = evrun_process(*command.split(), cwd=tmp_path).stdout.strip()
    assert address == "export EVRUN_BASE_URL=http://127.0.0.1:8000/v4"
    _, name, *options, _ = serve.split()
    assert name == "serve"
    code = block("python", "logged.id")
    served = code.replace('Evrun.local("evrun-demo.db")', "Evrun()")
    assert served != code
    with serving(tmp_path, *options) as base_url:
        result = python(served, tmp_path, EVRUN_API_KEY=key, EVRUN_BASE_URL=base_url)
    printed = ids_hidden(result.stdout + result.stderr.splitlines()[-1])
    assert printed == ids_hidden(block("text", "InvalidIdError"))


def test_the_examples_print_what_they_say(tmp_path: Path) -> None:
    """The examples run after the demo, and print what is shown."""
    evrun_process("demo", cwd=tmp_path)
    result = python(block("python", "logged.id"), tmp_path)
    printed = ids_hidden(result.stdout + result.stderr.splitlines()[-1])
    assert printed == ids_hidden(block("text", "InvalidIdError"))
    example = python(block("python", "projects_list"), tmp_path)
    assert (example.stdout, example.stderr) == ("1\n", "")


def test_the_commands_are_those_that_ci_runs() -> None:
    """CI installs and tests with exactly the README's two commands."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    installs = re.findall(r"^    pip (install .*?) && (.*)$", README, re.MULTILINE)
    assert [command for _, command in installs] == [
        "evrun demo",
        "pytest -n 2 --dist loadfile",
    ]
    for install, command in installs:
        assert install.removeprefix("install ") in script
        assert re.search(rf"(^|/|\s){command}($|\s)", script, re.MULTILINE)


def test_every_folder_has_its_page() -> None:
    """Each top-level folder says what lives there."""
    for folder in ("openapi", "generated", "overlays", "scripts", "tests"):
        assert (ROOT / folder / "README.md").is_file()
        assert f"`{folder}/" in README
