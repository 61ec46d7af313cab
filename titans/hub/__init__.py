"""Our language models as models of `transformers`, whose `Auto` classes load them.

Importing `transformers` takes seconds, and most of this project does without it. It is not
imported here: our classes are made known to it when its own table of models is imported.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

TABLE = "transformers.models.auto.configuration_auto"
OURS = "titans.hub.configuration"


def introduce() -> None:
    """Makes our models known to `transformers`, now or when it is imported."""
    if TABLE in sys.modules:
        import_module(OURS)
    elif not any(isinstance(finder, _AfterTable) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTable())


class _AfterTable:
    """Finds the table as Python would, and has our module imported once it is there."""

    def find_spec(
        # The path of a namespace package only looks like a sequence.
        self,
        fullname: str,
        path: Any,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != TABLE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_both(module: ModuleType) -> None:
                execute(module)
                import_module(OURS)

            spec.loader.exec_module = execute_both  # type: ignore[method-assign]
        return spec
