"""The plan of a fit, and the function that is compiled: from the start to a `Solution`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jax import Array

from mle_jax.fitting.choosing import choose_optimizer, default_steps, forms_hessian
from mle_jax.fitting.corners import solve_with_corners
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.starts import find_exact, has_exact, start_theta
from mle_jax.likelihood.workload import compiles_in_a_hurry
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.optimizers.minimizing import check_steps
from mle_jax.optimizers.newton import Newton
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


BY_PRODUCTS = "conjugate gradients and Lanczos' method"


@dataclass(frozen=True)
class Plan:
    """How to climb, decided before anything is traced; hashable but for the optimizer's leaves.

    Attributes:
        coordinates: the free coordinates.
        optimizer: the algorithm.
        max_steps: the most steps.
        closed_form: begin at the model's exact maximizer.
        compare: the model has kinks and an exact maximizer: measure how far from it the search ends.
        handwritten: search with the handwritten gradient.
        whiten: search in coordinates in which the expected information is the identity.
        record: keep the history.
    """

    coordinates: Coordinates
    optimizer: Optimizer[Any]
    max_steps: int
    closed_form: bool
    compare: bool
    handwritten: bool
    whiten: bool
    record: bool

    @property
    def static(self) -> dict[str, Any]:
        """The part that a compiled program depends on."""
        return {
            "closed_form": self.closed_form,
            "compare": self.compare,
            "handwritten": self.handwritten,
            "whiten": self.whiten,
            "record": self.max_steps if self.record else None,
        }

    @property
    def kind(self) -> tuple[Any, ...]:
        """What the programs of a batch depend on besides the batch."""
        return self.static, type(self.optimizer).__name__

    def description(self, model: "Model") -> str:
        """Say in words how the maximum is sought."""
        name = type(self.optimizer).__name__
        if not model.smooth:
            return "exact solver" if self.closed_form else name
        means = "" if forms_hessian(self.optimizer, self.coordinates.size) else BY_PRODUCTS
        if self.closed_form:
            return f"closed form, certified by {f'{means}, {name}' if means else name}"
        searched = f"{name} with the handwritten gradient" if self.handwritten else name
        return f"{searched}, certified by {means}" if means else searched


def make_plan(
    model: "Model",
    place: Coordinates,
    *,
    optimizer: Any = "auto",
    start: Any = None,
    gradient: str = "autodiff",
    weighted: bool = False,
    max_steps: int | None = None,
    record: bool = False,
    many: bool = False,
) -> Plan:
    """Decide how to climb.

    "auto" begins at the closed form where the model has one (one that minds what is fixed, if anything is) and no start
    is given; where the model has kinks, a start does not matter to it, and nothing is left to search.

    Raises:
        ValueError: an unknown gradient, a handwritten one with weights or where the model has none, or options out
            of range.
        TypeError: not an optimizer.
    """
    automatic = isinstance(optimizer, str)
    chosen = choose_optimizer(model, optimizer, place.size)
    if gradient not in ("autodiff", "handwritten"):
        raise ValueError(f"gradient is {gradient!r}, but it must be 'autodiff' or 'handwritten'")
    handwritten = gradient == "handwritten"
    if handwritten and model.gradient is None:
        raise ValueError(
            f"gradient='handwritten', but {model.label} has none; declare it with Model(..., gradient=...)"
        )
    if handwritten and weighted:
        raise ValueError(
            "gradient='handwritten' knows nothing of weights: the function takes (params, data) only; "
            "use gradient='autodiff' or leave the weights out"
        )
    exact = has_exact(model, place)
    closed_form = automatic and exact and (start is None or not model.smooth)
    steps = default_steps(chosen, many=many) if max_steps is None else check_steps(max_steps)
    return Plan(
        coordinates=place,
        optimizer=chosen,
        max_steps=0 if closed_form and not model.smooth else steps,
        closed_form=closed_form,
        compare=exact and not model.smooth,
        handwritten=handwritten,
        whiten=automatic and not model.smooth and model.expected_information is not None and not closed_form,
        record=record,
    )


def solve_from_start(
    model: "Model",
    place: Coordinates,
    data: Any,
    weights: Array | None,
    start: Any,
    optimizer: Optimizer[Any],
    tolerance: Array | float,
    max_steps: Array | int,
    *,
    closed_form: bool,
    compare: bool,
    handwritten: bool,
    whiten: bool,
    record: int | None,
) -> Solution:
    """Find the start and solve: the function that is compiled."""
    exact = find_exact(model, place, data, weights) if closed_form or compare else None
    theta = start_theta(model, place, data, weights, start, exact=exact if closed_form else None)
    options: dict[str, Any] = {
        "tolerance": tolerance,
        "max_steps": max_steps,
        "handwritten": handwritten,
        "record": record,
    }
    if model.smooth:
        return solve(model, place, theta, data, weights, optimizer, **options)
    return solve_with_corners(
        model, place, theta, data, weights, optimizer, exact, at_exact=closed_form, whiten=whiten, **options
    )


def is_soon_done(model: "Model", plan: Plan, data: Any, datasets: int = 1) -> bool:
    """Say whether a search is so little work that code for it shall be compiled in a hurry; it is counted.

    Other methods than Newton's may take thousands of steps.

    Args:
        model: the model.
        plan: how to climb.
        data: one of the datasets.
        datasets: how many.
    """
    return isinstance(plan.optimizer, Newton) and compiles_in_a_hurry(model, data, datasets)
