"""`Example`: one worked example of the text, as functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mle_jax._precision import in_float64, to_numpy

Function = Callable[..., Any]


def answer(solver: Function) -> Function:
    """Turn a closed form into an answer to compare with: float64 whatever the caller's JAX flag, as NumPy."""

    @in_float64
    def solved(*args: Any) -> Any:
        return to_numpy(solver(*args))

    return solved


@dataclass(frozen=True)
class Demonstration:
    """What came out of trying a statement that is no derivative.

    Attributes:
        points: at how many points it was tried.
        discrepancy: the worst distance from what the text says; how it is measured is said where it is made.
        bound: the largest distance allowed.
        note: what was seen, in words.
    """

    points: int
    discrepancy: float
    bound: float
    note: str

    @property
    def holds(self) -> bool:
        """Whether the statement holds; a distance of NaN does not."""
        return self.discrepancy <= self.bound


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """Hold one worked example of the text: a function, its gradient derived by hand, and points to try them at.

    Args:
        id: "T1" to "T12".
        title: the place in the chapter.
        statement: what it says, formulas in plain text.
        function: ``function(params, *args) -> scalar``, traceable by JAX.
        cases: ``cases(seed, count)``: an iterable of `count` random valid ``(params, args)``, NumPy float64, all of the
            same shapes.
        gradient: ``gradient(params, *args)``, derived by hand, laid out like params; None where the item has none.
        other_forms: further handwritten forms of the same gradient, which must agree entry by entry.
        terms: ``terms(params, *args)``, an array of the additive terms (per observation) whose sum is the function.
        magnitude: ``magnitude(params, *args)``: the formula of the gradient with every number replaced by its absolute
            value and every difference by a sum. Times a few machine precisions it bounds the rounding error of the
            gradient, because that is the size of what is added up before anything cancels.
        roundings: the most roundings that any summand of the gradient goes through on its way to the result.
        closed_form: ``closed_form(*args) -> params``, the maximizer (of a log-likelihood) or minimizer (of an error),
            NumPy float64.
        demonstrate: ``demonstrate(seed) -> Demonstration``, for what an item states besides a gradient.

    Example:
        >>> import mle_jax as mle
        >>> example = mle.text.EXAMPLES["T3"]
        >>> [round(float(partial), 4) for partial in example.gradient([1.0, 2.0, 3.0])]  # 2 sin 2 + 27, cos 2 + 3, 29
        [28.8186, 2.5839, 29.0]
    """

    id: str
    title: str
    statement: str
    function: Function
    cases: Callable[[int, int], Iterable[tuple[Any, tuple[Any, ...]]]]
    gradient: Function | None = None
    other_forms: tuple[Function, ...] = ()
    terms: Function | None = None
    magnitude: Function | None = None
    roundings: int = 0
    closed_form: Function | None = None
    demonstrate: Callable[[int], Demonstration] | None = None
