"""Teach PyYAML a subclass of `str`: its safe dumper refuses those that it does not know.

PyYAML must be loaded to be taught, and is not loaded for that: it is taught at once if the program
has imported it before, or else as soon as it does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_MODULE: Final = "yaml.representer"


def dump_as_text(kind: type[str]) -> None:
    """Have PyYAML write values of `kind`, and of its subclasses, as text."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _teach(module, kind)
    else:
        sys.meta_path.insert(0, _Finder(kind))


class _Finder:
    """Finds one module, once, as all others would, and teaches it when it has run."""

    def __init__(self, kind: type[str]) -> None:
        self._kind = kind

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, None for any other (PEP 451)."""
        if name != _MODULE:
            return None
        from importlib.util import find_spec  # noqa: PLC0415 - few programs come here

        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = spec and spec.loader
        if loader is not None:  # another package may be called yaml
            run = loader.exec_module

            def run_and_teach(module: ModuleType) -> None:
                run(module)
                _teach(module, self._kind)

            loader.exec_module = run_and_teach
        return spec


def _teach(module: Any, kind: type[str]) -> None:
    # The second is a subclass of the first, with a table of its own: `yaml.dump` uses it.
    for representer in (module.SafeRepresenter, module.Representer):
        representer.add_multi_representer(kind, _as_text)


def _as_text(representer: Any, value: str) -> Any:
    return representer.represent_str(str(value))
