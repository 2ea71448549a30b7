"""What JAX's errors inside a user's function mean, in words that say what to change."""

import traceback
from collections.abc import Callable
from typing import Any

from jax import errors

_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        errors.TracerBoolConversionError,
        "uses a Python condition (if, and, or, not, while, min, max) on a value that is not known while JAX compiles; "
        "write jnp.where(condition, a, b), jnp.logical_and, jnp.minimum and the like",
    ),
    (
        errors.TracerArrayConversionError,
        "hands a traced value to NumPy, SciPy or another library that needs numbers; use the functions of jax.numpy "
        "and jax.scipy instead",
    ),
    (
        errors.TracerIntegerConversionError,
        "uses a traced value as a Python integer (an index of a list, a range, a shape); turn the list into an array "
        "with jnp.asarray and index that",
    ),
    (
        errors.NonConcreteBooleanIndexError,
        "selects with a boolean mask, whose size is not known while JAX compiles; write jnp.where(mask, value, 0.0)",
    ),
    (
        errors.ConcretizationTypeError,
        "turns a traced value into a Python number (float(), int(), a function of the math module); leave it an array "
        "and use jax.numpy",
    ),
)


def advice_on(function: Callable[..., Any], error: Exception, name: str) -> str | None:
    """Say what to change in a function that JAX could not trace, or return None for any other error."""
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    return None if advice is None else f"{name} {advice}{place_of(function, error)}"


def place_of(function: Callable[..., Any], error: Exception) -> str:
    """Say where in the user's own file an error happened, when that can be told."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == code.co_filename]
    if not frames:
        return ""
    return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames[-1].line else f" (line {frames[-1].lineno})"
