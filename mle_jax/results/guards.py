"""The first look at what a verb was given, before anything is done with it."""

from typing import Any

from mle_jax._precision import is_traced
from mle_jax._whole import is_whole
from mle_jax.likelihood import Model


def check_verb(verb: str, model: Any, data: Any, *others: Any) -> None:
    """Raise where the first arguments of a verb are not a model and data, or are traced.

    Raises:
        TypeError: with the order of the arguments, or the traceable function to use instead.
    """
    if not isinstance(model, Model):
        given = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        advice = "swap the arguments" if isinstance(data, Model) else "declare one with Model(log_density, parameters)"
        raise TypeError(f"{verb} takes a Model and then the data, but its first argument is {given}; {advice}")
    if isinstance(data, Model):
        raise TypeError(f"{verb} takes a Model and then the data, but its second argument is a Model; pass the data")
    if is_traced((data, others)):
        raise TypeError(
            f"{verb} was called inside jax.jit, jax.vmap or jax.grad, but it checks values and returns NumPy; "
            "use mle_jax.maximize there"
        )


def checked_tolerance(tolerance: Any) -> float:
    """Return the tolerance as a float, or raise where it is not a number above 0."""
    try:
        number = float(tolerance)
    except (TypeError, ValueError):
        number = float("nan")
    if not number > 0:
        raise ValueError(
            f"tolerance is {tolerance!r}, but it must be above 0: the distance to the maximum in standard errors; "
            "leave it out for 1e-6"
        )
    return number


def check_starts(starts: Any, model: Model, *, dtype: str, gradient: str, record: bool) -> int:
    """Return the number of starts, or raise where it is no count or a search from many makes no sense.

    Raises:
        ValueError: with what to leave out.
    """
    if not is_whole(starts, least=1):
        raise ValueError(f"starts is {starts!r}, but it must be a whole number of at least 1; pass e.g. starts=64")
    if not model.smooth:
        raise ValueError(
            f"starts={starts} asks for a search from many starts, but {model.label} has kinks (smooth=False), so no "
            "maximum of a search could be certified; leave starts out"
        )
    unfit = [
        word
        for word, given in (
            (f"dtype={dtype!r}", dtype != "float64"),
            (f"gradient={gradient!r}", gradient != "autodiff"),
            ("record=True", record),
        )
        if given
    ]
    if unfit:
        raise ValueError(f"starts={starts} and {unfit[0]} do not go together; leave one of them out")
    return int(starts)
