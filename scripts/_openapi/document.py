"""Read YAML or JSON as the plain data that both mean, and find places in the text again.

Pure, and knows nothing of OpenAPI.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode

from _openapi.refusal import Refusal, shorten

if TYPE_CHECKING:
    from pathlib import Path as File

Path = tuple[str | int, ...]
"""A place in a document: keys and indices from the top."""


class Fault(Exception):  # noqa: N818 -- as `Refusal`, which it becomes where the file is known
    """What is wrong at `path`, or on `line` where the text could not be read."""

    def __init__(self, message: str, path: Path = (), *, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line


MAX_CHARACTERS = 10 * 1024 * 1024
MAX_NODES = 1_000_000
"""Values in a document, each alias counted as often as it is used: a few lines of YAML can mean
more than any memory holds."""


def parse(text: str) -> Any:
    """Return the JSON data in `text`. Raises `Fault`."""
    if len(text) > MAX_CHARACTERS:
        raise Fault(f"has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        if text.lstrip().startswith("{"):
            data = json.loads(text, object_pairs_hook=_unique)
        else:
            data = _yaml().load(text)
        _count(data)
        return _plain(data, ())
    except RecursionError:
        raise Fault("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Fault(f"is not JSON: {error.msg}", line=error.lineno) from error
    except MarkedYAMLError as error:
        # ruamel appends advice about its own API to some problems.
        problem = (error.problem or str(error)).strip().partition("\n")[0]
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise Fault(f"is not YAML: {problem}", line=line) from error
    except YAMLError as error:
        raise Fault(f"is not YAML: {shorten(str(error))}") from error


def load(file: File) -> dict[str, Any]:
    """Return the object in `file`, JSON or YAML by its content. Raises `Refusal`."""
    try:
        document = parse(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Refusal("is not UTF-8", where=file.name) from error
    except OSError as error:
        raise Refusal(f"cannot be read: {error.strerror}", where=str(file)) from error
    except Fault as fault:
        place = pointer(*fault.path) if fault.path else ""
        raise Refusal(fault.message, where=file.name, line=fault.line, pointer=place) from fault
    if not isinstance(document, dict):
        raise Refusal("holds no object, and so no OpenAPI document", where=file.name)
    return document


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of `parts` as a URI fragment: `#/paths/~1logs`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts(reference: str) -> list[str]:
    """Return what `pointer` was made of; indices as strings."""
    return [
        unquote(part).replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/")
    ]


def line_of(text: str, path: Path) -> int | None:
    """Return the line of `path` in `text`, or of the nearest node above it."""
    try:
        node: Any = _yaml().compose(text)
    except (YAMLError, RecursionError):  # JSON that is no YAML, such as an object indented by tabs.
        return None
    line = None
    for part in path:
        # Pairs of the node that carries the position and the node below it.
        children: list[tuple[Any, Any]] = []
        if isinstance(node, MappingNode):
            children = [pair for pair in node.value if pair[0].value == str(part)]
        elif isinstance(node, SequenceNode) and str(part).isdecimal():
            children = [(item, item) for item in node.value[int(part) :]]
        if not children:
            break
        position, node = children[0]
        line = position.start_mark.line + 1
    return line


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Fault(f'is not JSON: found duplicate key "{key}"')
        found[key] = value
    return found


def _count(data: Any) -> None:
    """Refuse more than `MAX_NODES` values, and what contains itself."""
    known: dict[int, int] = {}
    inside: set[int] = set()

    def size(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 1
        if id(node) not in known:
            if id(node) in inside:
                raise Fault("contains itself, by a YAML alias")
            inside.add(id(node))
            known[id(node)] = 1 + sum(map(size, node.values() if isinstance(node, dict) else node))
        return known[id(node)]

    if (total := size(data)) > MAX_NODES:
        raise Fault(f"means {total} values; at most {MAX_NODES} are read")


def _plain(node: Any, path: Path) -> Any:
    """Return `node` as JSON data. YAML alone allows other keys and values."""
    if isinstance(node, dict):
        plain = {_key(key, path): _plain(value, (*path, str(key))) for key, value in node.items()}
        if len(plain) < len(node):
            raise Fault("has a key twice, as a number and as a string", path)
        return plain
    if isinstance(node, list):
        return [_plain(value, (*path, index)) for index, value in enumerate(node)]
    if isinstance(node, float) and not math.isfinite(node):
        raise Fault(f"{node} is no JSON number", path)
    if node is None or isinstance(node, str | int | float):
        return node
    raise Fault(f"a {type(node).__name__} is no JSON value; put it in quotes", path)


def _key(key: Any, path: Path) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)  # A response code without quotes is common and clear.
    raise Fault(f"the key {key!r} is no string; put it in quotes", path)
