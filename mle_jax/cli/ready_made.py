"""The ready-made models as the command line sees them: found by name, described by their own files.

There is no second list: the names are the public ones of `mle_jax.models`, the options are the arguments of the
constructors, and the formula is the line ``log f(y; parameters | other data) = ...`` that opens each model's file.
"""

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mle_jax import models
from mle_jax._text import listing
from mle_jax.likelihood import Model

NAMES = tuple(models.__all__)

MADE_UP = {int: 3, float: 1.0}
"""Values of options, by their types, for a model of which only the leaves of its data are asked."""
ALIKE = 0.6
"""Likeness from which a name may have been meant; difflib's own choice for close matches."""


class Description(NamedTuple):
    """What `mle-jax models` prints about one model."""

    name: str
    data: tuple[str, ...]
    parameters: tuple[str, ...]
    options: tuple[str, ...]
    formula: str


def describe(name: str) -> Description:
    """Read the description of a model from its constructor and the docstring of its module."""
    constructor = _constructor(name)
    document = inspect.cleandoc(sys.modules[constructor.__module__].__doc__ or "")  # python -OO drops docstrings
    found = re.search(r"^log f\(([^;]+); ([^|)]+?)(?: \| ([^)]+))?\) = (.+?)(?:\n\n|\Z)", document, re.M | re.S)
    options = tuple(
        f"{option.name}={'...' if option.default is option.empty else option.default}"
        for option in inspect.signature(constructor).parameters.values()
    )
    if found is None:
        return Description(name, (), (), options, "")
    response, parameters, given, formula = found.groups()
    data = (response, *_words(given or ""))
    return Description(name, data, _words(parameters), options, " ".join(formula.split()))


def example_of(name: str) -> Model:
    """Construct a ready-made model, with made-up values of the options that it needs.

    Raises:
        KeyError: an option is of a type of which no value is known here.
    """
    needed = [
        option for option in inspect.signature(_constructor(name)).parameters.values() if option.default is option.empty
    ]
    return build_model(name, {option.name: MADE_UP[option.annotation] for option in needed})


def build_model(name: str, options: Mapping[str, Any]) -> Model:
    """Construct a ready-made model.

    Args:
        name: as in `mle_jax.models`.
        options: the arguments of its constructor.

    Raises:
        ValueError: there is no such model or option, an option is missing, or has a bad value.
        TypeError: an option is of the wrong kind.
    """
    if name not in NAMES:
        hint = nearest(name, NAMES)
        raise ValueError(
            f"there is no model '{name}'; " + (f"did you mean '{hint}'?" if hint else "'mle-jax models' lists them all")
        )
    constructor = _constructor(name)
    allowed = inspect.signature(constructor).parameters
    for option in options:
        if option not in allowed:
            known = f"its options are {listing(list(allowed))}" if allowed else "it has none; leave --option out"
            raise ValueError(f"--option names '{option}', but {name} has no such option; {known}")
    needed = [option.name for option in allowed.values() if option.default is option.empty]
    lacking = [option for option in needed if option not in options]
    if lacking:
        raise ValueError(f"{name} needs a value for {listing(lacking)}; pass --option {lacking[0]}=VALUE")
    return constructor(**options)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant: misspelled, in another case or order of words, or a part of it."""

    def likeness(candidate: str) -> tuple[float, float]:
        parts = candidate.lower().split("_")
        whole = _likeness(word, candidate)
        reordered = _likeness("_".join(sorted(word.lower().split("_"))), "_".join(sorted(parts)))
        return max(whole, reordered, *(_likeness(word, part) for part in parts)), whole

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= ALIKE else None


def _constructor(name: str) -> Callable[..., Model]:
    constructor: Callable[..., Model] = getattr(models, name)
    return constructor


def _likeness(word: str, known: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), known.lower()).ratio()


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
