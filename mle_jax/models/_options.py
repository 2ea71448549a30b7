"""Options of ready-made models, checked and brought to plain Python numbers: equal options give the same model."""

import math
import operator
from typing import Any

import numpy as np


def number(value: Any, *, model: str, option: str, allowed: str, advice: str) -> float:
    """Return an option as a Python float, so that 1, 1.0 and np.float64(1.0) are one model.

    Args:
        value: what was given.
        model: the constructor.
        option: the name of the option.
        allowed: what it must be, such as ``a finite number``.
        advice: what to do.

    Raises:
        TypeError: it is not a real number.
        ValueError: it is NaN or infinite.
    """
    given = f"{model} was given {option}={value!r}, but it must be {allowed}; {advice}"
    if isinstance(value, str | bytes | bool) or np.ndim(value) != 0:
        raise TypeError(given)
    try:
        found = float(value)
    except TypeError:  # an object without a value: a complex number, None, a traced array
        raise TypeError(given) from None
    if not math.isfinite(found):
        raise ValueError(given)
    return found


def count(value: Any, *, model: str, option: str, least: int, advice: str) -> int:
    """Return an option as a Python int of at least `least`.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is too small.
    """
    given = f"{model} was given {option}={value!r}, but it must be a whole number, {least} or more; {advice}"
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None:
        raise TypeError(given)
    if found < least:
        raise ValueError(given)
    return found


def limits(lower: Any, upper: Any, *, model: str) -> tuple[float, float]:
    """Return the limits between which a response is seen, infinite where there is none.

    Raises:
        TypeError: a limit is neither a real number nor None.
        ValueError: a limit is not finite, there is none, or the lower one is not below the upper one.
    """
    ends = []
    for option, value, open_end in (("lower", lower, -math.inf), ("upper", upper, math.inf)):
        told = {"allowed": "a finite number or None", "advice": f"pass {option}=None where there is no such limit"}
        ends.append(open_end if value is None else number(value, model=model, option=option, **told))
    if ends == [-math.inf, math.inf]:
        raise ValueError(
            f"{model} was given lower=None and upper=None, but it needs a limit; pass lower=0.0, or take "
            "models.linear_gaussian(), where every value is seen"
        )
    if not ends[0] < ends[1]:
        raise ValueError(
            f"{model} was given lower={lower!r} and upper={upper!r}, but lower must be below upper; swap or change them"
        )
    return ends[0], ends[1]


def in_words(lower: float, upper: float) -> str:
    """Write limits as the user would, for the name of a model."""
    return ", ".join([f"lower={lower:g}"] * math.isfinite(lower) + [f"upper={upper:g}"] * math.isfinite(upper))
