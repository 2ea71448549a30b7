"""Import optional packages where they are used, with one sentence when they are missing."""

import importlib
from types import ModuleType


def optional(package: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say what to install.

    Args:
        package: the module to import, dotted where needed.
        extra: the extra of mle-jax that brings it.
        purpose: what the user was doing, in the user's words: the subject of the sentence.

    Returns:
        The imported module.

    Raises:
        ImportError: if the package is not installed. An error inside the package is passed on as it is.

    Example:
        >>> optional("statistics", "data", "fit.to_pandas()").mean([1, 3])
        2
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name != root:
            raise
        message = f"{purpose} needs {root}: pip install 'mle-jax[{extra}]'"
        raise ImportError(message, name=root) from None
