"""Parts of a package that are imported when they are first asked for: a fit needs half of the modules."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def imported_when_asked_for(package: str, sources: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` (PEP 562).

    Args:
        package: its name.
        sources: of every attribute the module that holds it, or that it is.
    """

    def look_up(name: str) -> Any:
        source = sources.get(name)
        if source is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(source)
        found = module if source == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, found)
        return found

    return look_up
