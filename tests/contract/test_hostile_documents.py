"""An OpenAPI document is untrusted input to a code generator: each is refused, or made inert.

A payload is put into every place that takes text. If it ever runs, it writes a file; the name of
that file may stand in generated code only inside strings.
"""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
import tokenize
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _openapi.refusal import Refusal
from _regenerate import contract, inert
from _support.warm_regeneration import WarmRegenerate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Put = Callable[[dict[str, Any], str], object]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "regenerate.py"
CANARY = "canary7f3a"
RUN = f"open('{CANARY}', 'w').close()"

pytestmark = pytest.mark.timeout(300)

PAYLOADS = {
    "docstring": f'"""\n{RUN}\n"""',
    "quotes": f"'\"; {RUN}; x='\"",
    "line": f"x\n{RUN}\n#",
    "template": "{{ " + RUN + " }}{% " + RUN + " %}{" + RUN + "}",
    "backslash": f"\\'\\\"\\\n{RUN}\\",
    "path": f"../../../{CANARY}",
}

THING = {"$ref": "#/components/schemas/Thing"}
BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "servers": [{"url": "https://one.test"}],
    "tags": [{"name": "things"}],
    "paths": {
        "/things/{id}": {
            "post": {
                "operationId": "Things_make",
                "tags": ["things"],
                "security": [{"key": []}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "q", "in": "query", "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                    }
                },
                "responses": {
                    "200": {
                        "description": "ok",
                        "content": {"application/json": {"schema": THING}},
                    }
                },
            }
        }
    },
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "K"}},
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {
                    "x": {"type": "string"},
                    "one": {
                        "oneOf": [
                            {"$ref": "#/components/schemas/Cat"},
                            {"$ref": "#/components/schemas/Dog"},
                        ],
                        "discriminator": {
                            "propertyName": "kind",
                            "mapping": {
                                "cat": "#/components/schemas/Cat",
                                "dog": "#/components/schemas/Dog",
                            },
                        },
                    },
                },
            },
            "Cat": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"type": "string", "enum": ["cat"]}},
            },
            "Dog": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"type": "string", "enum": ["dog"]}},
            },
        },
    },
}


def _operation(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"]["/things/{id}"]["post"]
    return found


def _thing(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]["Thing"]
    return found


def _mapping(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _thing(document)["properties"]["one"]["discriminator"]["mapping"]
    return found


def _x(key: str, wrap: Callable[[str], Any] = lambda text: text) -> Put:
    return lambda document, text: _thing(document)["properties"]["x"].update({key: wrap(text)})


def _renamed(mapping: dict[str, Any], old: str, new: str) -> None:
    mapping[new] = mapping.pop(old)


SITES: dict[str, Put] = {
    "title": lambda d, text: d["info"].update(title=text),
    "version": lambda d, text: d["info"].update(version=text),
    "info description": lambda d, text: d["info"].update(description=text),
    "server url": lambda d, text: d["servers"][0].update(url=text),
    "tag": lambda d, text: _operation(d).update(tags=[text]),
    "summary": lambda d, text: _operation(d).update(summary=text),
    "operation description": lambda d, text: _operation(d).update(description=text),
    "operationId": lambda d, text: _operation(d).update(operationId=text),
    "path": lambda d, text: _renamed(d["paths"], "/things/{id}", f"/{text}/{{id}}"),
    "parameter name": lambda d, text: _operation(d)["parameters"][1].update(name=text),
    "parameter description": lambda d, text: _operation(d)["parameters"][1].update(
        description=text
    ),
    "parameter default": lambda d, text: _operation(d)["parameters"][1]["schema"].update(
        default=text
    ),
    "response description": lambda d, text: _operation(d)["responses"]["200"].update(
        description=text
    ),
    "media type": lambda d, text: _renamed(
        _operation(d)["responses"]["200"]["content"], "application/json", text
    ),
    "schema name": lambda d, text: d["components"]["schemas"].update(
        {text: {"type": "object", "properties": {"y": {"type": "string"}}}}
    ),
    "schema title": lambda d, text: _thing(d).update(title=text),
    "schema description": lambda d, text: _thing(d).update(description=text),
    "property name": lambda d, text: _thing(d)["properties"].update({text: {"type": "string"}}),
    "property title": _x("title"),
    "property description": _x("description"),
    "enum value": _x("enum", lambda text: [text, "b"]),
    "single value": _x("const"),
    "default": _x("default"),
    "pattern": _x("pattern"),
    "format": _x("format"),
    "example": _x("example"),
    "extension": _x("x-more"),
    "discriminator": lambda d, text: _mapping(d).update({text: "#/components/schemas/Cat"}),
    "security scheme": lambda d, text: d["components"]["securitySchemes"].update(
        {text: {"type": "apiKey", "in": "header", "name": text}}
    ),
    "header": lambda d, text: _operation(d)["parameters"].append(
        {"name": text, "in": "header", "schema": {"type": "string"}}
    ),
}


def document(site: str, text: str) -> str:
    """Return the base with a text in one place."""
    changed = copy.deepcopy(BASE)
    SITES[site](changed, text)
    return json.dumps(changed)


CORPUS = {
    f"{site}: {payload}": document(site, text)
    for site in SITES
    for payload, text in PAYLOADS.items()
}


_CHARSET = 'does not match "^[a-zA-Z0-9._-]+$"'
_ALWAYS = {
    "media type": "Cannot parse response",
    "schema name": _CHARSET,
    "security scheme": _CHARSET,
    "format": "format of",
}
"""What is refused, and why; everything else must come out inert."""

REFUSED = {
    **{f"{site}: {payload}": said for site, said in _ALWAYS.items() for payload in PAYLOADS},
    "path: docstring": "has no module in the generated client",
    "path: line": "has no module in the generated client",
    "path: backslash": "has no module in the generated client",
    "path: template": "is no valid OpenAPI",
    "pattern: backslash": "cannot be imported",
}

EVERY_TIME = ("docstring", "path")
"""Payloads of the main suite; the long one has them all."""


class Ended(NamedTuple):
    """How a run of the script ended."""

    status: int
    said: str


def generate(folder: Path, text: str) -> Ended:
    """Regenerate from a document in a folder of its own, from within that folder."""
    (folder / "spec.json").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--spec", "spec.json", "--output", folder / "out"],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stderr)


def generate_warm(warm: WarmRegenerate, folder: Path, text: str) -> Ended:
    """Do what `generate` does, in a tenth of the time."""
    (folder / "spec.json").write_text(text, "utf-8")
    done = warm("--spec", "spec.json", "--output", folder / "out", cwd=folder)
    return Ended(done.returncode, done.stderr)


TwoWarm = tuple[WarmRegenerate, WarmRegenerate]
"""As many as there are cores."""


@pytest.fixture(scope="module")
def warm(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TwoWarm]:
    """Return the script in two processes that have everything loaded."""
    sample = tmp_path_factory.mktemp("warm") / "sample.json"
    sample.write_text(json.dumps(BASE), "utf-8")
    both = WarmRegenerate(sample), WarmRegenerate(sample)
    yield both
    for each in both:
        each.close()


def complaint(folder: Path, done: Ended, name: str) -> str:
    """Return how an outcome differs from the expected one; regenerating has imported the code."""
    lines = [line for line in done.said.splitlines() if line.startswith("regenerate: ")]
    here = {each.name for each in folder.iterdir()}
    if name in REFUSED:
        fine = done.status == 2 and len(lines) == 1 and REFUSED[name] in lines[0]
        return "" if fine and here == {"spec.json"} else f"{done.status} {lines} {here}"
    if done.status or here != {"spec.json", "out"}:
        return f"{done.status} {lines} {here}"
    return "; ".join(_leaks(folder / "out"))


def _leaks(tree: Path) -> list[str]:
    """Return where a payload stands as code: it may be text, or an identifier made of it."""
    found = []
    for path in tree.rglob("*"):
        if CANARY in path.name and not path.name.isidentifier() and path.suffix != ".py":
            found.append(str(path))
        if path.suffix == ".py":
            readline = io.StringIO(path.read_text("utf-8")).readline
            found += [
                f"{path.name}:{token.start[0]}: {token.line.strip()}"
                for token in tokenize.generate_tokens(readline)
                if token.type == tokenize.NAME and token.string == "open"
            ]
    return found


def outcomes(tmp_path: Path, warm: TwoWarm, names: list[str]) -> dict[str, str]:
    """Return what is wrong with the outcome of each document of the corpus."""

    def half(which: int) -> Iterator[tuple[str, str]]:
        for number, name in list(enumerate(names))[which::2]:
            folder = tmp_path / str(number)
            folder.mkdir()
            done = generate_warm(warm[which], folder, CORPUS[name])
            if wrong := complaint(folder, done, name):
                yield name, wrong

    with ThreadPoolExecutor(2) as both:
        halves = both.map(lambda which: list(half(which)), (0, 1))
        return {name: wrong for each in halves for name, wrong in each}


def test_hostile_text_is_refused_or_inert(tmp_path: Path, warm: TwoWarm) -> None:
    """Wherever it stands, it closes no docstring and leaves no folder: two payloads, every site."""
    names = [name for name in CORPUS if name.rpartition(": ")[2] in EVERY_TIME]
    assert len(names) >= 60
    assert outcomes(tmp_path, warm, names) == {}


@pytest.mark.soak
def test_all_hostile_text_is_refused_or_inert(tmp_path: Path, warm: TwoWarm) -> None:
    """The whole corpus: six payloads, every site."""
    assert len(CORPUS) == len(SITES) * len(PAYLOADS) == 180
    assert outcomes(tmp_path, warm, list(CORPUS)) == {}


@pytest.mark.parametrize("name", ["tag: path", "format: docstring", "pattern: backslash"])
def test_a_fork_ends_as_the_script_does(tmp_path: Path, warm: TwoWarm, name: str) -> None:
    """What the corpus is tried with is the script itself: same status, words and files."""
    found = []
    for way, run in (("cold", generate), ("warm", partial(generate_warm, warm[0]))):
        folder = tmp_path / way
        folder.mkdir()
        done = run(folder, CORPUS[name])
        lines = [line for line in done.said.splitlines() if line.startswith("regenerate: ")]
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        found.append((done.status, [line.replace(way, "…") for line in lines], files))
    assert found[0] == found[1]


def test_the_corpus_is_awake(tmp_path: Path) -> None:
    """A payload that ran would be seen: the same code in a module of the tree is found."""
    module = tmp_path / "module.py"
    module.write_text(f"{RUN}\n", "utf-8")
    assert _leaks(tmp_path) == [f"module.py:1: {RUN}"]
    subprocess.run([sys.executable, module], cwd=tmp_path, check=True)
    assert (tmp_path / CANARY).exists()


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(_BOMB, "means 1", id="YAML bomb"),
        pytest.param("a: &a [*a]\n", "contains itself", id="a list of itself"),
        pytest.param("[" * 100_000, "nested too deeply", id="nesting in YAML"),
        pytest.param('{"a":' * 100_000, "nested too deeply", id="nesting in JSON"),
        pytest.param("a: 1\n" + "#" * 11_000_000, "characters; at most", id="size"),
        pytest.param(
            document("enum value", "x").replace('"b"', ", ".join(f'"{n}"' for n in range(2000))),
            "an enum of 2001 values",
            id="enum",
        ),
        pytest.param(document("property name", "n" * 1000), "1000 characters", id="name"),
        pytest.param("a: !!python/object/apply:os.getcwd []\n", "is not YAML", id="YAML tag"),
        pytest.param('{"a": 1, "a": 2}', "duplicate key", id="key twice"),
        pytest.param('{"$ref": "file:///etc/passwd"}', "leaves the document", id="file"),
    ],
)
def test_what_would_exhaust_memory_or_time_is_refused(text: str, said: str) -> None:
    """In one line, at once."""
    with pytest.raises(Refusal, match=said) as refused:
        contract.read(text, "spec")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        ("regenerate.py", "--spec", "deep.json", "--output", "out"),
        ("import_spec.py", "deep.json", "--all", "--patches", "none.yaml", "--output", "out.yaml"),
        ("spec_diff.py", "deep.json", "other.json"),
    ],
    ids=lambda command: command[0],
)
def test_no_script_is_at_a_loss_when_nesting_can_be_read(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """What a parser takes and a walk does not is refused in one line; how deep, Pythons differ."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(450):
        schema = {"type": "object", "properties": {"x": schema}}
    deep = copy.deepcopy(BASE)
    _thing(deep)["properties"]["x"] = schema
    (tmp_path / "deep.json").write_text(json.dumps(deep), "utf-8")
    (tmp_path / "other.json").write_text(json.dumps(deep).replace("string", "integer"), "utf-8")
    (tmp_path / "none.yaml").write_text("actions: []\n", "utf-8")
    script, *arguments = command
    done = subprocess.run(
        [sys.executable, SCRIPT.with_name(script), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 1:  # A newer Python has compared both, down to the type.
        assert (script, done.stderr) == ("spec_diff.py", "")
        assert "It is integer now; it was string." in done.stdout
        return
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nested too deeply" in done.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_pattern_that_never_ends_is_not_run() -> None:
    """Checking a default against it would take longer than the universe has."""
    hostile = copy.deepcopy(BASE)
    _thing(hostile)["properties"]["x"] |= {"pattern": "^(a+)+$", "default": "a" * 60 + "!"}
    assert contract.read(json.dumps(hostile), "spec").operations


NASTY = st.text(
    st.sampled_from("\"'`\\{}%#\n\r\t\u2028\u202e\0;:()[]<>&|*/.,-_ aZ0é€\U0001f600"), max_size=40
) | st.sampled_from([*PAYLOADS.values(), "None", "class", "__import__", "..", ""])


# A whole document is large to draw, and generating from one is slow; both are the point.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Make a document with hostile text in some of the places that take text."""
    made = copy.deepcopy(BASE)
    chosen = draw(st.lists(st.sampled_from(sorted(SITES)), unique=True, max_size=8))
    for site in sorted(chosen, key=lambda site: site == "path"):  # the others look below it
        SITES[site](made, draw(NASTY))
    return json.dumps(made)


@given(documents())
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_any_document_is_read_or_refused(text: str) -> None:
    """Nothing else is raised, and a refusal is one line."""
    try:
        contract.read(text, "spec")
    except Refusal as refusal:
        assert "\n" not in str(refusal)


@pytest.mark.soak
@given(text=documents())
@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
def test_any_document_is_inert_or_refused(
    tmp_path_factory: pytest.TempPathFactory, warm: TwoWarm, text: str
) -> None:
    """Whatever is made of it is importable, and holds no payload as code."""
    folder = tmp_path_factory.mktemp("any")
    done = generate_warm(warm[0], folder, text)
    assert done.status in {0, 2}, done.said
    assert not (folder / CANARY).exists()
    assert {each.name for each in folder.iterdir()} <= {"spec.json", "out"}
    if done.status == 0:
        assert _leaks(folder / "out") == []


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "from subprocess import run",
        "print(1)",
        "x = open('x')",
        "x: int = eval('1')",
        "def f(x=open('x')): ...",
        "@open('x')\ndef f(): ...",
        "@other\nclass A: ...",
        "class A:\n    x = open('x')",
        "class A:\n    print(1)",
        "if True:\n    x = 1",
        "for x in (): ...",
        "while True: ...",
        "try: ...\nfinally: ...",
        "x = [open(y) for y in z]",
        "x = (lambda: 1)",
        "A.model_rebuild(open('x'))",
        "del x",
        "assert x",
        "x = f'{open(1)}'",
    ],
)
def test_a_statement_that_no_generator_writes_is_refused(code: str) -> None:
    """Before anything is imported; the sentence shows it."""
    with pytest.raises(Refusal, match="nothing that the generators write"):
        inert.check({"evrun_api/x.py": code.encode()})


def test_code_that_is_none_is_refused() -> None:
    """A document that breaks the syntax is told so."""
    with pytest.raises(Refusal, match="is no Python"):
        inert.check({"evrun_api/x.py": b"def ("})


def test_our_own_generated_code_passes() -> None:
    """The list is complete."""
    tree = ROOT / "generated"
    files = {str(each.relative_to(tree)): each.read_bytes() for each in tree.rglob("*.py")}
    assert files
    inert.check(files)
