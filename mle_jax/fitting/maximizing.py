"""`maximize`: the silent, traceable core of `fit`, with derivatives by the implicit function theorem.

At a maximum the gradient of the loss vanishes, f'(theta; z) = 0, where z are the data, the weights and the values held
fixed. Differentiating both sides gives d theta / dz = -f''^-1 d f'/dz: one Hessian and one mixed derivative at the
maximum, however the search got there. Nothing of the search is differentiated.

Source: Blondel et al. (2022), Efficient and modular implicit differentiation, NeurIPS 35, equation (3).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._lapack import inverse
from mle_jax._objective import Objective
from mle_jax._status import are_certified
from mle_jax._trees import lists_to_arrays
from mle_jax.fitting.planning import make_plan, solve_from_start
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.layout import check_call, model_space
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.likelihood.programs import program
from mle_jax.parameters import Coordinates, coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def maximize(
    model: "Model",
    data: Any,
    *,
    optimizer: Any = "auto",
    start: Any = None,
    fixed: Any = None,
    constraints: Sequence[str] = (),
    weights: Array | None = None,
    gradient: str = "autodiff",
    tolerance: float = 1e-6,
    max_steps: int | None = None,
    record: bool = False,
) -> Solution:
    """Maximize the log-likelihood: the silent, traceable core of `fit`, for `jax.jit`, `jax.vmap` and `jax.grad`.

    It neither looks at values nor warns, follows the caller's precision (float32 with JAX's 64-bit flag off), and
    returns JAX arrays. Read the status: in float32 the decrement rarely gets below 1e-6.

    Derivatives of params and log_likelihood with respect to data, weights and fixed values (of any order, forward and
    reverse) follow from the implicit function theorem: ``d theta / dz = -H^-1 d gradient / dz`` at the maximum. They
    are NaN where the maximum is not certified, and 0 with respect to start values; what a density takes for a constant,
    as the ready-made ones do counts, has derivative 0.

    Args:
        model: the model.
        data: pytree of arrays with a common first axis.
        optimizer: "auto" or an object from ``mle_jax.optimizers``.
        start: start values by leaf or flat name, partly if wished.
        fixed: values of parameters that do not move, by leaf or flat name; their values may be traced.
        constraints: linear equations in flat names and numbers, as for `fit`; a start that misses them is moved.
        weights: (n,) frequency weights or None.
        gradient: "autodiff" or "handwritten".
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps.
        record: keep the history of the loss in ``solution.trace``.

    Returns:
        A `Solution`.

    Raises:
        TypeError, ValueError, KeyError: arguments, data and log density do not fit together (shapes and names only),
            or derivatives are asked of a model with kinks.

    Reference:
        The certificate is described in ``mle_jax.fitting.certificate``. Blondel et al. (2022), Efficient and modular
        implicit differentiation, NeurIPS 35, equation (3), for the derivatives.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import mle_jax as mle
        >>> model = mle.models.gaussian()
        >>> mean_of = lambda y: mle.maximize(model, {"y": y}).params["mu"]
        >>> means = jax.vmap(mean_of)(jnp.array([[1.0, 2.0, 6.0], [0.0, 1.0, 5.0]]))
        >>> [round(float(mean), 3) for mean in means]
        [3.0, 2.0]
        >>> [round(float(slope), 3) for slope in jax.grad(mean_of)(jnp.array([1.0, 2.0, 6.0]))]  # 1 / n
        [0.333, 0.333, 0.333]
    """
    data = lists_to_arrays(data)
    space = model_space(model, data)
    check_call(model, space.default_start(), data)
    plan = make_plan(
        model,
        coordinates(space, fixed, constraints),
        optimizer=optimizer,
        start=start,
        gradient=gradient,
        weighted=weights is not None,
        max_steps=max_steps,
        record=record,
    )
    run = program(model, solve_differentiably, **plan.static)
    return run(plan.coordinates, data, weights, start, plan.optimizer, tolerance, plan.max_steps)


def solve_differentiably(
    model: "Model",
    place: Coordinates,
    data: Any,
    weights: Array | None,
    *search: Any,
    **static: Any,
) -> Solution:
    """Do what `solve_from_start` does, with derivatives of params, theta and log_likelihood.

    They are NaN where the maximum is not certified, and of all else in the solution zero. Where the search began, and
    how it went, does not matter to them.

    Raises:
        ValueError: derivatives are asked of a model with kinks.
    """

    @jax.custom_jvp
    def run(given: tuple[Any, ...], search: tuple[Any, ...]) -> Solution:
        return solve_from_start(model, *given, *search, **static)

    @run.defjvp
    def differentiate(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Solution, Solution]:
        if not model.smooth:
            raise ValueError(
                f"derivatives of maximize were asked for, but {model.label} has kinks (smooth=False), where the score "
                "jumps and the implicit function theorem does not hold; use differences of fits"
            )
        given, moved = primals[0], tangents[0]
        solution = run(*primals)  # differentiable again, so that there are second derivatives

        def gradient(*at: Any) -> Array:
            return _objective(model, *at).with_gradient(solution.theta).gradient

        pull = jax.jvp(gradient, given, moved)[1]
        hessian = _objective(model, *given).with_hessian(solution.theta).hessian
        # A factor, and no choice: it must be NaN on the way back as well.
        theta = jnp.where(are_certified(solution.status), -1.0, jnp.nan) * _solve(hessian, pull)

        def outcome(theta: Array, *at: Any) -> tuple[Any, Array]:
            scale = loss_scale(model, at[1], at[2])
            return at[0].params(theta), to_log_likelihood(_objective(model, *at).value(theta), scale)

        _, (params, height) = jax.jvp(outcome, (solution.theta, *given), (theta, *moved))
        still = jax.tree_util.tree_map(_no_change, solution)
        return solution, still._replace(params=params, log_likelihood=height, theta=theta)

    solution: Solution = run((place, data, weights), search)
    return solution


def _objective(model: "Model", place: Coordinates, data: Any, weights: Array | None) -> Objective:
    return loss_objective(model, place, data, weights=weights)


def _solve(hessian: Array, right: Array) -> Array:
    """Solve with a positive definite matrix scaled by its diagonal; anything where it is not."""
    if right.size == 0:
        return right
    scale = jnp.sqrt(jnp.abs(jnp.diagonal(hessian)))
    scale = jnp.where(scale > 0, scale, 1.0)
    return (inverse(hessian / scale[:, None] / scale) @ (right / scale)) / scale


def _no_change(leaf: Array) -> Any:
    floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
    return jnp.zeros_like(leaf) if floating else np.zeros(jnp.shape(leaf), jax.dtypes.float0)
