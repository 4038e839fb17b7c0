"""Comparing, proving and replacing generated trees, part by part."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from _openapi.refusal import Refusal
from _regenerate import proof, replacing, tree
from _regenerate.contract import Operation

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "regenerate.py"

ENDPOINT = """\
def _get_kwargs(pet_id: str) -> dict[str, object]:
    _kwargs = {"method": "get", "url": "/pets/{pet_id}".format(pet_id=pet_id)}
    return _kwargs
def sync_detailed(): ...
async def asyncio_detailed(): ...
"""
GET = Operation("Pets_get", "get", "/pets/{petId}", "#/paths/~1pets~1{petId}/get")


def test_an_operation_is_found_by_its_request() -> None:
    """The module of an operation is the one that sends its method and URL."""
    files = {"evrun_api/api/pets/other_name.py": ENDPOINT.encode()}
    assert proof.operation_modules([GET], files) == {"Pets_get": "evrun_api.api.pets.other_name"}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"evrun_api/api/pets/pets_get.py": ENDPOINT.replace('"get"', '"put"')},
        {"evrun_api/api/pets/pets_get.py": ENDPOINT.replace("def asyncio_detailed", "def x")},
        {"evrun_api/models/pets_get.py": ENDPOINT},
    ],
)
def test_a_lost_operation_is_refused(files: dict[str, str]) -> None:
    """An operation without a module that sends its request, with all functions, has vanished."""
    with pytest.raises(Refusal) as refusal:
        proof.operation_modules([GET], {name: text.encode() for name, text in files.items()})
    assert str(refusal.value).startswith(
        "#/paths/~1pets~1{petId}/get: operation 'Pets_get' has no module in the generated client;"
    )


def test_two_operations_cannot_share_a_module() -> None:
    """Two operations that send the same request are one module, so one of them is lost."""
    twin = Operation("Pets_read", "get", "/pets/{name}", "#/paths/~1pets~1{name}/get")
    with pytest.raises(Refusal, match="operation 'Pets_read' has no module"):
        proof.operation_modules([GET, twin], {"evrun_api/api/pets/pets.py": ENDPOINT.encode()})


def test_every_schema_has_a_model() -> None:
    """Classes and aliases count as models, under the generator's spelling; a lost one is named."""
    source = b"class PagedPet: ...\nPetId = str\n"
    proof.check_models(["Paged_Pet_", "PetId", "1st"], source)
    with pytest.raises(Refusal) as refusal:
        proof.check_models(["PetId", "Owner"], source)
    assert str(refusal.value) == (
        "#/components/schemas/Owner: schema 'Owner' has no model in the generated models"
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = '\\d'\n", "SyntaxError: invalid escape sequence '\\d'"),
        ("import warnings\nwarnings.warn('old', DeprecationWarning)\n", "DeprecationWarning: old"),
        ("__all__ = ['missing']\n", "AttributeError: module 'pets.bad' has no attribute 'missing'"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
    ],
)
def test_a_module_that_does_not_import_is_refused(tmp_path: Path, source: str, said: str) -> None:
    """Errors and warnings while importing name the module and what it raised."""
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "__init__.py").touch()
    (tmp_path / "pets" / "bad.py").write_text(source)
    with pytest.raises(Refusal) as refusal:
        proof.check_imports(tmp_path, ["pets/__init__.py", "pets/bad.py", "pets/py.typed"])
    if "SyntaxError" in said:  # Its wording differs between versions of Python.
        assert "generated module pets.bad cannot be imported: SyntaxError: " in str(refusal.value)
    else:
        assert str(refusal.value) == f"generated module pets.bad cannot be imported: {said}"


def test_a_module_from_elsewhere_is_no_proof(tmp_path: Path) -> None:
    """A module that comes from outside the tree does not prove that the tree imports."""
    with pytest.raises(
        Refusal, match=r"^generated module json cannot be imported: ImportError: came"
    ):
        proof.check_imports(tmp_path, ["json.py"])


def test_a_module_that_kills_python_is_refused(tmp_path: Path) -> None:
    """An importer that dies without a word is a refusal too."""
    (tmp_path / "deadly.py").write_text("import os\nos._exit(3)\n")
    with pytest.raises(Refusal, match="generated code cannot be imported"):
        proof.check_imports(tmp_path, ["deadly.py"])


def test_differences_have_four_kinds() -> None:
    """A file is edited, outdated (as the manifest recorded it), missing or stray."""
    written = {"a.py": b"a\n", "b.py": b"b\n", "c.py": b"c\n"}
    manifest = tree.manifest(written, contract="1", tools={}, settings={}, operations={}).encode()
    actual = {"a.py": b"edited\n", "b.py": b"b\n", "d.py": b"d\n", "MANIFEST.json": manifest}
    expected = {"a.py": b"a\n", "b.py": b"new\n", "c.py": b"c\n", "MANIFEST.json": b"{}"}
    differences = tree.compare(expected, actual)
    assert [tuple(difference) for difference in differences] == [
        ("outdated", "MANIFEST.json"),
        ("edited", "a.py"),
        ("outdated", "b.py"),
        ("missing", "c.py"),
        ("stray", "d.py"),
    ]
    assert tree.report(differences, expected, actual)[5:] == [
        "",
        *("--- generated/a.py", "+++ regenerated/a.py", "@@ -1 +1 @@", "-edited", "+a"),
        *("--- generated/b.py", "+++ regenerated/b.py", "@@ -1 +1 @@", "-b", "+new"),
    ]


@pytest.mark.parametrize("manifest", [b"", b"no json", b"[]", b'{"files": 1}', b'{"files": []}'])
def test_a_broken_manifest_makes_files_edited(manifest: bytes) -> None:
    """Without hashes to go by, a file that differs counts as edited."""
    actual = {"a.py": b"1", "MANIFEST.json": manifest}
    assert tree.Difference("edited", "a.py") in tree.compare({"a.py": b"2"}, actual)


def test_a_long_report_is_cut() -> None:
    """A report stays readable whatever has changed, and says what it leaves out."""
    expected = {f"{number}.py": b"x\n" * 50 for number in range(30)}
    actual = dict.fromkeys(expected, b"y\n" * 50)
    lines = tree.report(tree.compare(expected, actual), expected, actual, limit=20)
    assert len(lines) == 43
    assert lines[20] == "… and 10 more files"
    assert lines[-1] == f"… and {30 * 103 - 20} more lines of diff"


def test_only_regular_files_count_as_generated(tmp_path: Path) -> None:
    """A link in place of a file is a difference even if its target has the right content."""
    (tmp_path / "real.py").write_text("x\n")
    (tmp_path / "link.py").symlink_to("real.py")
    (tmp_path / "README.md").write_text("By hand.\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "README.md").write_text("Stray.\n")
    assert tree.read(tmp_path) == {
        "link.py": b"not a regular file\n",
        "real.py": b"x\n",
        "sub/README.md": b"Stray.\n",
    }


def make(output: Path) -> Path:
    """Return a staging folder that holds a new tree for `output`, which holds an old one."""
    for folder, text in ((output, "old"), (replacing.staging(output) / replacing.NEW, "new")):
        folder.mkdir(parents=True)
        (folder / tree.MANIFEST).write_text(text)
    return replacing.staging(output)


def in_two_renames(_one: Path, _other: Path) -> bool:
    """Stand in for a system that cannot exchange folders."""
    return False


@pytest.mark.parametrize("exchange", [replacing.exchange, in_two_renames])
def test_replaces_with_and_without_exchange(
    tmp_path: Path, exchange: Callable[[Path, Path], bool]
) -> None:
    """The new tree takes the old one's place, with the README, on any system."""
    output = tmp_path / "generated"
    stage = make(output)
    (output / "README.md").write_text("By hand.\n")
    replacing.replace(stage, output, exchange=exchange)
    assert (output / tree.MANIFEST).read_text() == "new"
    assert (output / "README.md").read_text() == "By hand.\n"


def test_linux_exchanges_in_one_step(tmp_path: Path) -> None:
    """On Linux two folders swap, and no moment is without one."""
    stage = make(tmp_path / "generated")
    assert replacing.exchange(stage / replacing.NEW, tmp_path / "generated")
    assert (stage / replacing.NEW / tree.MANIFEST).read_text() == "old"
    assert not replacing.exchange(stage / "nothing", tmp_path / "generated")


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_run_killed_between_renames_is_mended(tmp_path: Path, renames: int) -> None:
    """Whichever rename was the last, recovery leaves the old or the new tree and no staging."""
    output = tmp_path / "generated"
    stage = make(output)
    for old, new in [(output, stage / replacing.OLD), (stage / replacing.NEW, output)][:renames]:
        old.rename(new)
    replacing.recover(output)
    assert (output / tree.MANIFEST).read_text() == ("new" if renames == 2 else "old")
    assert list(tmp_path.iterdir()) == [output]


def test_the_script_mends_first(tmp_path: Path) -> None:
    """A run puts the old tree back even if its own document then turns out to be bad."""
    output = tmp_path / "generated"
    stage = make(output)
    output.rename(stage / replacing.OLD)
    spec = tmp_path / "spec.yaml"
    spec.write_text("nothing\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--spec", spec, "--output", output],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert (output / tree.MANIFEST).read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated", "spec.yaml"]


@contextmanager
def held(folder: Path, kind: int) -> Iterator[None]:
    """Hold the lock of a run over a tree in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, kind)
    yield
    os.close(descriptor)


@pytest.mark.parametrize(
    ("kind", "exclusive", "free"),
    [
        (fcntl.LOCK_EX, True, False),
        (fcntl.LOCK_EX, False, False),
        (fcntl.LOCK_SH, True, False),
        (fcntl.LOCK_SH, False, True),
    ],
)
def test_runs_do_not_meet(tmp_path: Path, kind: int, *, exclusive: bool, free: bool) -> None:
    """One run writes alone; several may check at once; the next one is told to wait."""
    with held(tmp_path, kind):
        if free:
            with replacing.locked(tmp_path / "generated", exclusive=exclusive):
                pass
        else:
            with (
                pytest.raises(
                    Refusal, match=r"another run of scripts/regenerate\.py is at work in"
                ),
                replacing.locked(tmp_path / "generated", exclusive=exclusive),
            ):
                pass
    with replacing.locked(tmp_path / "generated", exclusive=True):
        pass


def test_a_missing_parent_folder_is_named(tmp_path: Path) -> None:
    """An output in a folder that does not exist is refused with the system's reason."""
    with (
        pytest.raises(Refusal, match=r"cannot open .*/nowhere: No such file or directory"),
        replacing.locked(tmp_path / "nowhere" / "generated", exclusive=True),
    ):
        pass


def test_only_a_generated_tree_is_replaced(tmp_path: Path) -> None:
    """A link, a file or a folder with anything else in it is not replaced."""
    output = tmp_path / "generated"
    replacing.check_replaceable(output)
    output.mkdir()
    (output / "README.md").touch()
    (output / "evrun_api").mkdir()
    replacing.check_replaceable(output)
    (output / "notes.txt").touch()
    with pytest.raises(Refusal, match=r"holds 'notes\.txt' and no MANIFEST\.json"):
        replacing.check_replaceable(output)
    (output / tree.MANIFEST).write_text(json.dumps({}))
    replacing.check_replaceable(output)
    (tmp_path / "link").symlink_to(output)
    for path in (tmp_path / "link", output / "notes.txt"):
        with pytest.raises(Refusal, match="is no folder"):
            replacing.check_replaceable(path)
