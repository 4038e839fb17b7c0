"""What `import evrun` costs, counted in modules: seconds depend on the machine, modules do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

BUDGET = 1.6
"""Times the modules that `import httpx` loads."""

HEAVY = {
    "anyio",
    "asyncio",
    "click",
    "evrun.raw",
    "evrun.resources",
    "evrun.results",
    "evrun.server",
    "evrun_api.api",
    "evrun_api.models",
    "evrun_models",
    "pydantic",
    "pyreqwest",
    "rich",
    "sqlalchemy",
    "starlette",
}
"""What is loaded when it is first used."""

# httpx loads the libraries of its own command line when they happen to be there, as they are for
# us. Users of the base install have none of them, and there httpx is a third smaller.
BASE_INSTALL = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))\n"
LOADED = "import json; print(json.dumps([name for name, each in sys.modules.items() if each]))"


def loaded(code: str) -> set[str]:
    """Return the modules that a new interpreter of the base install has after `code`."""
    return set(json.loads(printed(f"{BASE_INSTALL}{code}\n{LOADED}")))


def printed(code: str) -> str:
    command = [sys.executable, "-c", code]
    env = {**os.environ, "EVRUN_BASE_URL": "http://h/v4"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def test_importing_evrun_costs_little_more_than_importing_httpx() -> None:
    """`import evrun` loads at most 1.6 times the modules of `import httpx`."""
    assert len(loaded("import evrun")) <= BUDGET * len(loaded("import httpx"))


@pytest.mark.parametrize(
    "code",
    ["import evrun", "import evrun; evrun.Evrun(api_key='k').close()"],
    ids=["import", "client"],
)
def test_nothing_heavy_is_loaded_before_it_is_used(code: str) -> None:
    """Neither importing evrun nor making a client loads a resource, a model or an extra."""
    assert loaded(code) & HEAVY == set()


def test_what_is_heavy_is_loaded_when_it_is_used() -> None:
    """The names above are real: a client with resources and answers loads those of the base."""
    code = "import evrun; evrun.Evrun(api_key='k').with_raw_response.projects"
    assert loaded(code) & HEAVY >= {
        "evrun.raw",
        "evrun.resources",
        "evrun.results",
        "evrun_api.api",
        "evrun_api.models",
    }


CONTEXTS = (
    "import gc, ssl; print(sum(isinstance(each, ssl.SSLContext) for each in gc.get_objects()))"
)


@pytest.mark.parametrize(
    ("code", "contexts"),
    [
        ("client = evrun.Evrun(api_key='k'); client.with_options(timeout=1); client.close()", 0),
        ("client = evrun.AsyncEvrun(api_key='k'); client.with_options(timeout=1)", 0),
        ("client = evrun.Evrun(api_key='k'); client._pool.client()", 1),
    ],
    ids=["sync", "async", "at the first request"],
)
def test_a_tls_context_is_made_at_the_first_request(code: str, contexts: int) -> None:
    """Making and closing a client builds no TLS context, which costs more than all imports."""
    assert int(printed(f"import evrun; {code}; {CONTEXTS}")) == contexts
