"""`scripts/regenerate.py`, run as a person runs it, over small documents written here."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from _support.warm_regeneration import WarmRegenerate

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "regenerate.py"

DOCUMENT = """\
openapi: 3.1.0
info: {title: "Pets: a small API", version: "1"}
servers: [{url: "https://example.com/v1"}]
paths:
  /pets/{pet_id}:
    get:
      operationId: Pets_get
      tags: [Pets]
      security: [{ApiKey: []}]
      parameters:
        - {name: pet_id, in: path, required: true, schema: {$ref: "#/components/schemas/PetId"}}
      responses:
        200:
          description: The pet.
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
    delete:
      operationId: Pets_delete
      tags: [Pets]
      security: [{ApiKey: []}]
      parameters:
        - {name: pet_id, in: path, required: true, schema: {$ref: "#/components/schemas/PetId"}}
      responses: {"204": {description: Gone.}}
  /owners:
    post:
      operationId: Owners_create
      tags: [Owners]
      security: [{ApiKey: []}]
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Owner"}}}
      responses:
        "201":
          description: The owner.
          content: {application/json: {schema: {$ref: "#/components/schemas/Owner"}}}
components:
  securitySchemes:
    ApiKey: {type: apiKey, in: header, name: X-API-KEY}
  schemas:
    PetId: {type: string, pattern: "^pet_[a-z]+$", maxLength: 20, x-id-prefix: pet_}
    Kind: {type: string, enum: [cat, dog], description: What it is.}
    Pet:
      type: object
      description: A pet.
      required: [id, kind]
      properties:
        id: {$ref: "#/components/schemas/PetId"}
        kind: {$ref: "#/components/schemas/Kind"}
        mood: {anyOf: [{$ref: "#/components/schemas/Kind"}, {type: string}]}
        name: {type: [string, "null"], maxLength: 40, description: What it answers to.}
    Owner:
      type: object
      required: [pets]
      properties:
        pets: {type: array, items: {$ref: "#/components/schemas/Pet"}}
"""


def run(
    *arguments: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script with what this Python has installed."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder`, whatever it is."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `spec.yaml` and the tree generated from it; only to be read."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "spec.yaml").write_text(DOCUMENT, encoding="utf-8")
    done = run("--spec", folder / "spec.yaml", "--output", folder / "generated")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def warm(made: Path) -> Iterator[WarmRegenerate]:
    """Return the script in a process that has everything loaded."""
    warm = WarmRegenerate(made / "spec.yaml")
    yield warm
    warm.close()


@pytest.fixture
def spec(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the document, beside a copy of the tree, to be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "spec.yaml"


def arguments(spec: Path) -> list[str]:
    """Return the options that name a document and the tree beside it."""
    return ["--spec", str(spec), "--output", str(spec.parent / "generated")]


def python(tree: Path, program: str) -> str:
    """Return what a program prints that imports from `tree`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-B", "-c", program],
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_committed_tree_is_fresh(warm: WarmRegenerate) -> None:
    """`generated/` is what the script makes from `openapi/openapi.yaml`."""
    done = warm("--check")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stdout + done.stderr


def test_writes_both_packages_and_nothing_else(made: Path) -> None:
    """A run leaves two typed packages and a manifest, and no staging folder."""
    files = contents(made / "generated")
    assert {name.split("/")[0] for name in files} == {"evrun_api", "evrun_models", "MANIFEST.json"}
    assert {"evrun_api/py.typed", "evrun_models/py.typed", "evrun_models/__init__.py"} <= set(files)
    assert sorted(path.name for path in made.iterdir()) == ["generated", "spec.yaml"]


def test_every_module_says_who_wrote_it(made: Path) -> None:
    """Each generated module starts with one header that names the command."""
    for name, content in contents(made / "generated").items():
        if name.endswith(".py"):
            assert content.startswith(
                b"# Generated by scripts/regenerate.py from openapi/openapi.yaml. Do not edit:"
                b" change the contract\n# and run `python scripts/regenerate.py`.\n"
            ), name
            assert content.count(b"Generated by") == 1, name


def test_the_client_is_importable_under_its_names(made: Path) -> None:
    """Operations are modules named after operationId and tag, and take the public client."""
    program = """
from evrun_api import AuthenticatedClient
from evrun_api.api.owners import owners_create
from evrun_api.api.pets import pets_delete, pets_get
client = AuthenticatedClient(base_url="http://localhost", token="t", prefix="")
print(pets_get.sync.__annotations__["client"].__name__, pets_delete.asyncio_detailed.__name__)
"""
    assert python(made / "generated", program) == "AuthenticatedClient asyncio_detailed"


def test_an_endpoint_loads_only_its_models(made: Path) -> None:
    """Importing one endpoint loads the models it uses; the others come when they are asked for."""
    program = """
import sys
from evrun_api.api.pets import pets_get
loaded = lambda: sorted(m.rpartition(".")[2] for m in sys.modules if "api.models." in m)
print(loaded())
import evrun_api.models
print(evrun_api.models.Owner.__name__, "Owner" in vars(evrun_api.models), loaded())
print([name for name in dir(evrun_api.models) if name[0].isupper()])
try:
    evrun_api.models.Ovner
except AttributeError as error:
    print(error)
from evrun_api.models import *
print(Kind)
"""
    assert python(made / "generated", program).splitlines() == [
        "['kind', 'pet']",
        "Owner True ['kind', 'owner', 'pet']",
        "['Any', 'Kind', 'Owner', 'Pet', 'TYPE_CHECKING']",
        "module 'evrun_api.models' has no attribute 'Ovner'",
        "typing.Literal['cat', 'dog']",
    ]


def test_enums_are_plain_strings_on_both_sides(made: Path) -> None:
    """A value of an enum is a `str` in the client and in the server's models, known or not."""
    program = """
from evrun_api.models import Pet
from evrun_models import Owner
sent = {"id": "pet_a", "kind": "cat", "mood": "hungry"}
pet = Pet.from_dict(sent)
print(type(pet.kind), type(pet.mood), pet.to_dict() == sent)
owner = Owner.model_validate({"pets": [pet.to_dict() | {"name": None}]}, strict=True)
print(owner.pets[0].kind == "cat", owner.pets[0].mood == "hungry", owner.pets[0].id)
try:
    Owner.model_validate({"pets": [{"id": "dog_a", "kind": "cow"}]}, strict=True)
except ValueError as error:
    print([".".join(map(str, problem["loc"])) for problem in error.errors()])
"""
    assert python(made / "generated", program).splitlines() == [
        "<class 'str'> <class 'str'> True",
        "True True pet_a",
        "['pets.0.id', 'pets.0.kind']",
    ]


@pytest.mark.typing
def test_a_type_checker_knows_the_lazy_models(made: Path, tmp_path: Path) -> None:
    """A type-checker sees the models through the lazy package, and refuses a name that is none."""
    program = tmp_path / "program.py"
    program.write_text("from evrun_api.models import Owner, Ovner\nreveal_type(Owner(pets=[]))\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", os.devnull, "--no-incremental", program],
        env=os.environ | {"MYPYPATH": str(made / "generated")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'has no attribute "Ovner"' in done.stdout, done.stdout + done.stderr
    assert 'Revealed type is "evrun_api.models.owner.Owner"' in done.stdout


def test_the_manifest_says_what_the_tree_was_made_from(made: Path) -> None:
    """The manifest has exact versions, settings, operations and a hash per file; and no time."""
    manifest = json.loads((made / "generated" / "MANIFEST.json").read_text())
    assert manifest["tools"] == {
        "datamodel-code-generator": "0.89.0",
        "openapi-python-client": "0.29.1",
        "ruff": "0.17.6",
    }
    assert sorted(manifest) == ["comment", "contract", "files", "operations", "settings", "tools"]
    assert manifest["operations"] == {
        "Owners_create": "evrun_api.api.owners.owners_create",
        "Pets_delete": "evrun_api.api.pets.pets_delete",
        "Pets_get": "evrun_api.api.pets.pets_get",
    }
    assert sorted(manifest["files"]) == list(manifest["files"])
    assert set(manifest["files"]) == set(contents(made / "generated")) - {"MANIFEST.json"}


def test_both_packages_say_which_contract_they_come_from(made: Path) -> None:
    """Each package has the manifest's hash of the contract; reading the client's loads no model."""
    manifest = json.loads((made / "generated" / "MANIFEST.json").read_text())
    program = """
import sys
from evrun_api.contract import SHA256
print(SHA256)
print([name for name in sys.modules if "models" in name and name.startswith("evrun_")])
from evrun_models import contract
print(contract.SHA256)
"""
    assert python(made / "generated", program).splitlines() == [
        manifest["contract"]["sha256"],
        "[]",
        manifest["contract"]["sha256"],
    ]


def test_check_of_a_fresh_tree_is_one_line(warm: WarmRegenerate, spec: Path) -> None:
    """--check answers 0 and one line; caches and the hand-written README do not count."""
    cache = spec.parent / "generated" / "evrun_api" / "__pycache__"
    cache.mkdir()
    (cache / "client.cpython-311.pyc").write_bytes(b"\0")
    (spec.parent / "generated" / "README.md").write_text("By hand.\n")
    done = warm("--check", *arguments(spec))
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("generated/ is fresh (")


def test_check_names_edited_missing_and_stray_files(warm: WarmRegenerate, spec: Path) -> None:
    """--check answers 1, says which files are not as written and how, and touches none."""
    tree = spec.parent / "generated"
    client = tree / "evrun_api" / "client.py"
    client.write_text(client.read_text().replace("import httpx", "import httpx as requests"))
    (tree / "evrun_api" / "api" / "pets" / "pets_get.py").unlink()
    (tree / "evrun_models" / "extra.py").write_text("x = 1\n")
    (tree / "notes.txt").write_text("Mine.\n")
    before = contents(tree)
    done = warm("--check", *arguments(spec))
    assert done.returncode == 1
    assert contents(tree) == before
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "missing   evrun_api/api/pets/pets_get.py",
        "edited    evrun_api/client.py",
        "stray     evrun_models/extra.py",
        "stray     notes.txt",
    ]
    assert "-import httpx as requests" in lines
    assert "+import httpx" in lines
    assert lines[-1] == (
        "generated/ is stale: 1 edited, 1 missing, 2 stray. Run: python scripts/regenerate.py "
        + " ".join(arguments(spec))
    )


def on_a_terminal(*options: str) -> list[str]:
    """Return the lines that a person sees while the script runs, each with all that it held."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, SCRIPT, *options], stdout=subprocess.DEVNULL, stderr=theirs
    ):
        os.close(theirs)
        seen = b""
        # Linux ends a terminal that nobody writes to any more by an error.
        with contextlib.suppress(OSError):
            while said := os.read(ours, 1024):
                seen += said
    os.close(ours)
    return seen.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def test_a_terminal_shows_what_is_under_way(spec: Path) -> None:
    """Each step is shown when it begins and replaced by what it took; a failure clears its own."""
    spec.write_text(DOCUMENT.replace("What it answers to.", "Its name."))
    steps = on_a_terminal(*arguments(spec))
    shown = [re.fullmatch(r"    …    (.*)\r *\d+\.\d\d s  \1", step) for step in steps]
    assert all(shown), steps
    assert [match[1].split()[0] for match in shown if match] == [
        *("read", "ran", "formatted", "proved", "imported", "replaced"),
    ]
    spec.write_text(DOCUMENT.replace("enum: [cat, dog]", "enum: [cat, 1]"))
    assert on_a_terminal(*arguments(spec))[-1].startswith(
        "    …    ran both generators\r\x1b[2Kregenerate: "
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: What it answers to.", "description: Its name."),
        ("maxLength: 40", "maxLength: 41"),
        ("required: [id, kind]", "required: [id]"),
        ("x-id-prefix: pet_", "x-id-prefix: dog_"),
        ('url: "https://example.com/v1"', 'url: "https://example.com/v2"'),
    ],
)
def test_any_change_of_the_contract_makes_the_tree_stale(
    warm: WarmRegenerate, spec: Path, old: str, new: str
) -> None:
    """A changed field fails --check, even one that shows in no generated line."""
    assert old in DOCUMENT
    spec.write_text(DOCUMENT.replace(old, new))
    done = warm("--check", *arguments(spec))
    assert done.returncode == 1
    assert "outdated  MANIFEST.json" in done.stdout
    assert "edited" not in done.stdout


def test_the_same_bytes_whatever_surrounds_the_run(made: Path, tmp_path: Path) -> None:
    """Hash seed, working folder, PATH and the ruff configuration around it change nothing."""
    hostile = (
        "line-length = 40\nindent-width = 2\nexclude = ['*']\n[format]\nquote-style = 'single'\n"
    )
    (tmp_path / "ruff.toml").write_text(hostile)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.datamodel-codegen]\nsnake-case-field = true\ntarget-python-version = '3.13'\n"
        "[tool.black]\nline-length = 40\nskip-string-normalization = true\n"
        "[tool.isort]\nline_length = 40\nforce_single_line = true\n"
        "[tool.ruff]\nline-length = 40\n"
    )
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "__init__.py").write_text("raise ImportError('the wrong yaml')\n")
    (tmp_path / ".git").mkdir()  # Without it ruff would not look at .gitignore.
    (tmp_path / ".gitignore").write_text("*\n")
    shutil.copy(made / "spec.yaml", tmp_path)
    for seed, folder in (("0", tmp_path), ("4242", Path("/"))):
        shutil.rmtree(tmp_path / "generated", ignore_errors=True)
        env = {"PYTHONHASHSEED": seed, "PATH": str(tmp_path), "LC_ALL": "C", "TZ": "Asia/Tokyo"}
        done = run(*arguments(tmp_path / "spec.yaml"), cwd=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path / "generated") == contents(made / "generated")


def test_a_run_keeps_the_readme_and_says_what_it_removed(warm: WarmRegenerate, spec: Path) -> None:
    """The hand-written README survives a replacement; a stray file goes, and is named."""
    tree = spec.parent / "generated"
    (tree / "README.md").write_text("By hand.\n")
    (tree / "evrun_api" / "mine.py").write_text("x = 1\n")
    spec.write_text(DOCUMENT.replace("What it answers to.", "Its name."))
    done = warm(*arguments(spec))
    assert done.returncode == 0, done.stderr
    assert "removed   evrun_api/mine.py" in done.stdout.splitlines()
    assert (tree / "README.md").read_text() == "By hand.\n"
    assert not (tree / "evrun_api" / "mine.py").exists()
    assert "Its name." in (tree / "evrun_models" / "__init__.py").read_text()
    assert sorted(path.name for path in spec.parent.iterdir()) == ["generated", "spec.yaml"]


def test_a_fresh_tree_is_left_alone(warm: WarmRegenerate, spec: Path) -> None:
    """A run that would change nothing replaces nothing."""
    before = (spec.parent / "generated").stat().st_ino
    done = warm(*arguments(spec))
    assert done.stdout.endswith("files, unchanged\n")
    assert (spec.parent / "generated").stat().st_ino == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("openapi: 3.1.0", "openapi: [3.1.0", "spec.yaml:2: #: is not YAML: "),
        (
            'PetId"}}\n      responses:\n        200',
            'Nope"}}\n      responses:\n        200',
            (
                "spec.yaml:11: #/paths/~1pets~1{pet_id}/get/parameters/0/schema/$ref:"
                " $ref '#/components/schemas/Nope' points to nothing"
            ),
        ),
        (
            "Pets_delete",
            "Pets_get",
            "spec.yaml:17: #/paths/~1pets~1{pet_id}/delete/operationId: operationId 'Pets_get'",
        ),
        (
            "Pets_delete",
            "pets_get",
            "spec.yaml:6: #/paths/~1pets~1{pet_id}/get: operation 'Pets_get' has no module",
        ),
        (
            "enum: [cat, dog]",
            "enum: [cat, 1]",
            "spec.yaml:40: #/components/schemas/Kind: openapi-python-client: Unable to parse",
        ),
        (
            "description: Gone.",
            "summary: Gone.",
            "spec.yaml:22: #/paths/~1pets~1{pet_id}/delete/responses/204: is no valid OpenAPI: ",
        ),
    ],
    ids=["syntax", "dangling", "duplicate", "vanished", "warning", "invalid"],
)
def test_a_bad_document_is_one_line_and_changes_nothing(
    warm: WarmRegenerate, spec: Path, old: str, new: str, said: str
) -> None:
    """What cannot be generated exits 2 with its place, and leaves the tree untouched."""
    assert old in DOCUMENT
    spec.write_text(DOCUMENT.replace(old, new, 1))
    before = contents(spec.parent)
    for check in ([], ["--check"]):
        done = warm(*check, *arguments(spec))
        assert done.returncode == 2
        *steps, error = done.stderr.splitlines()
        assert said in error
        assert all(" s  " in step for step in steps)
        assert done.stdout == ""
        assert contents(spec.parent) == before


def test_another_version_of_a_tool_is_refused(spec: Path, tmp_path: Path) -> None:
    """A tool of another version is named with the command that installs the pinned ones."""
    metadata = tmp_path / "site" / "ruff-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ruff\nVersion: 0.1.0\n")
    done = run("--check", *arguments(spec), env={"PYTHONPATH": str(metadata.parent)})
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"regenerate: {sys.executable} has ruff 0.1.0 (wanted 0.17.6); run: {sys.executable} -m pip"
        " install openapi-python-client==0.29.1 datamodel-code-generator==0.89.0 ruff==0.17.6"
    )


def test_a_folder_of_something_else_is_not_replaced(
    warm: WarmRegenerate, spec: Path, tmp_path: Path
) -> None:
    """A mistyped --output that holds other files is refused before anything is built."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.txt").write_text("Years of work.\n")
    done = warm("--spec", spec, "--output", folder)
    assert done.returncode == 2
    assert "holds 'thesis.txt' and no MANIFEST.json: it is not a generated tree" in done.stderr
    assert contents(folder) == {"thesis.txt": b"Years of work.\n"}


def test_termination_cleans_up(spec: Path) -> None:
    """SIGTERM ends a run without a staging folder or a traceback."""
    before = contents(spec.parent)
    spec_text = DOCUMENT.replace("What it answers to.", "Its name.")
    spec.write_text(spec_text)
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *arguments(spec)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()  # The document is read; the generators are at work.
    process.terminate()
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.endswith("regenerate: interrupted, nothing was replaced\n")
    assert "Traceback" not in errors
    assert contents(spec.parent) == before | {"spec.yaml": spec_text.encode()}


def test_help_names_the_options_and_the_exit_status() -> None:
    """--help says what the command does, its options and what its exit status means."""
    done = run("--help")
    assert done.returncode == 0
    for words in ("--check", "--spec", "--output", "exit status: 0 written or fresh, 1 stale"):
        assert words in done.stdout
