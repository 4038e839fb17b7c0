"""The settings of the generators, held against the generators that are installed."""

import hashlib
import tomllib
from pathlib import Path

import openapi_python_client
import pytest
from openapi_python_client.config import ConfigFile
from ruamel.yaml import YAML

from _openapi.refusal import Refusal
from _regenerate import generators

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "openapi" / "generators"


def test_our_template_replaces_the_one_it_was_made_for() -> None:
    """A template of ours is tied to the text of the upstream template that it replaces."""
    lines = (SETTINGS / "templates" / "upstream.sha256").read_text().splitlines()
    recorded = {name: digest for digest, name in map(str.split, lines)}
    ours = {path.name for path in (SETTINGS / "templates").rglob("*.jinja")}
    assert set(recorded) == ours
    upstream = Path(openapi_python_client.__file__).parent / "templates"
    for name, expected in recorded.items():
        actual = hashlib.sha256((upstream / name).read_bytes()).hexdigest()
        assert actual == expected, f"{name} has changed: see openapi/generators/templates/README.md"


def test_openapi_python_client_knows_every_setting() -> None:
    """No setting of the client generator is misspelt, which it would ignore."""
    settings = YAML(typ="safe").load(SETTINGS / "openapi-python-client.yaml")
    assert set(settings) <= set(ConfigFile.model_fields)


def test_the_generators_are_pinned() -> None:
    """pyproject.toml names one exact version of each tool that shapes the output."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert generators.pins(project["optional-dependencies"]["dev"]) == {
        "openapi-python-client": "0.29.1",
        "datamodel-code-generator": "0.89.0",
        "ruff": "0.17.6",
    }


def test_a_range_is_no_pin() -> None:
    """A tool without an exact version is refused by name."""
    with pytest.raises(Refusal) as refusal:
        generators.pins(["openapi-python-client==0.29.1", "ruff>=0.17", "pytest"])
    assert str(refusal.value) == ("pyproject.toml: must pin datamodel-code-generator, ruff with ==")


def test_a_tool_that_is_not_installed_is_named() -> None:
    """A missing tool is named like one of another version."""
    with pytest.raises(
        Refusal, match=r"has no-such-tool none \(wanted 1\); run: .*no-such-tool==1"
    ):
        generators.check_versions({"no-such-tool": "1"})


def test_options_are_spelt_out() -> None:
    """A true option stands alone, a list repeats its values, anything else is one value."""
    settings = {"strict-refs": True, "scopes": ["schemas", "paths"], "style": "builtin"}
    assert generators.options(settings) == [
        *("--strict-refs", "--scopes", "schemas", "paths", "--style", "builtin"),
    ]


def test_the_cause_stands_for_all_that_follows_from_it() -> None:
    """Of many complaints the schema that cannot be parsed is the one to mend."""
    said = """\
Warning(s) encountered while generating. Client was generated, but some pieces may be missing
WARNING parsing GET /pets/{id} within pets. Endpoint will not be generated.

Could not find reference

{
  "$ref": "#/components/schemas/Pet"
}

Unable to process schema /components/schemas/Pet:

Could not find reference

Unable to parse schema /components/schemas/Kind

Enum values must all be the same type

If you believe this was a mistake or this tool is missing a feature you need, please open an issue
"""
    assert generators.complaint(said) == (
        "#/components/schemas/Kind",
        "Unable to parse schema /components/schemas/Kind Enum values must all be the same type",
    )
    before, _, _ = said.partition("Unable")
    place, problem = generators.complaint(before)
    assert place == "#/paths/~1pets~1{id}/get"
    assert problem == (
        "WARNING parsing GET /pets/{id} within pets. Endpoint will not be generated."
        " Could not find reference"
    )


def test_a_traceback_becomes_its_last_line() -> None:
    """A generator that crashed is quoted by the exception, not by its stack."""
    said = "│ Traceback (most recent call last) │\n\n│ ❱ 1 x() │\n\nKeyError: 'x'\n"
    assert generators.complaint(said) == ("#", "KeyError: 'x'")


def test_a_long_complaint_is_cut() -> None:
    """What a generator says without structure is quoted on one line, as far as it helps."""
    pointer, problem = generators.complaint("one\ntwo\n\n" + "x" * 1000)
    assert pointer == "#"
    assert problem.startswith("one two xxx")
    assert len(problem) == 300
