"""The first look at what a verb was given, before anything is done with it."""

from typing import TYPE_CHECKING, Any

from mle_jax._precision import is_traced
from mle_jax._whole import is_whole
from mle_jax.likelihood import Model

if TYPE_CHECKING:
    from mle_jax.results.fit_object import Fit


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


def check_has_rows(fit: "Fit", what: str) -> None:
    """Raise where a fit has neither model nor data: read from a file or a pickle, or numbers of groups alone.

    Raises:
        ValueError: with the call that gets what was asked for.
    """
    if fit._record.errors is not None:
        raise ValueError(
            f"{what} needs the rows, but of these groups the estimates and their standard errors alone were kept; read "
            "the rows of a group and call evaluate(model, rows, fit.params) for it"
        )
    if fit._record.matrix is None:
        return
    call = "fit_batch(model, data, start=fits.params)" if fit.is_batch else "evaluate(model, data, fit.params)"
    raise ValueError(
        f"{what} needs the model and the data, but this fit was read from a file or a pickle, which holds its numbers "
        f"alone; call {call} for it"
    )


def check_is_batch(fit: "Fit", what: str) -> None:
    """Raise where this is a single fit.

    Raises:
        TypeError: with where it belongs.
    """
    if not fit.is_batch:
        raise TypeError(f"{what} is for the results of fit_batch and fit_groups, but this is a single fit")


def check_one_shape(fit: "Fit", what: str) -> None:
    """Raise where a batch consists of ragged groups.

    Raises:
        ValueError: with what to do.
    """
    if fit._record.groups is not None:
        raise ValueError(
            f"{what} is for datasets of one shape, but these are ragged groups; call fit_groups with the rows of those "
            "that failed and another start, or fit with fits[i].params for one of them"
        )


def checked_lane(lane: Any, lanes: int) -> int:
    """Return the number of a dataset of a batch, counted from 0.

    Raises:
        IndexError: there is no such lane.
        TypeError: the lane is not a whole number.
    """
    if not is_whole(lane):
        raise TypeError(f"a batch is indexed by one whole number, not by {lane!r}; use fits[3] for the dataset 3")
    if not -lanes <= lane < lanes:
        raise IndexError(f"lane {lane} was asked for, but the batch has {lanes} datasets, 0 to {lanes - 1}")
    return int(lane) % lanes


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


def read_memory(memory: int | str | None) -> int | None:
    """Return a number of bytes, from 1 MB on.

    Raises:
        ValueError: not a size.
    """
    if memory is None:
        return None
    text = str(memory).strip().upper().removesuffix("B").removesuffix("I")
    powers = {"K": 1, "M": 2, "G": 3, "T": 4}
    power = powers.get(text[-1:], 0)
    try:
        size = int(float(text[:-1] if power else text) * 1000**power)
    except (ValueError, OverflowError):
        size = 0
    if isinstance(memory, bool) or size < 10**6:
        raise ValueError(
            f"memory is {memory!r}, but it must be a number of bytes from 1 MB on, or a text such as '4GB'"
        )
    return size
