"""The gradient check of a model: which function, at which points, and how large its rounding errors may be."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64, to_numpy
from mle_jax._trees import lists_to_arrays
from mle_jax.gradients import GradientReport, check_gradient
from mle_jax.likelihood import evaluation
from mle_jax.likelihood.layout import check_call, model_space
from mle_jax.likelihood.probing import on_data
from mle_jax.likelihood.programs import program

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

OTHER_POINTS = 3
SPREAD = 0.25  # of the random points around the first one, in unconstrained coordinates


@in_float64
def check_model_gradient(
    model: "Model", data: Any, params: Any = None, *, seed: int = 0, **options: Any
) -> GradientReport:
    """Check the gradient of the total log-likelihood at `params` and at random points of the domain around it."""
    data = lists_to_arrays(data)
    space = model_space(model, data)
    begin = space.default_start()
    if model.start is not None:
        begin = space.merge(begin, to_numpy(on_data(model, "start", data)))
    point = space.merge(begin, params, what="params")
    space.check(point, what="value", remedy="check the gradient at a point inside the domain")
    check_call(model, point, data)
    theta = np.asarray(space.unconstrain(point))
    rng = np.random.default_rng(seed)
    moves = SPREAD * np.maximum(1.0, np.abs(theta)) * rng.standard_normal((OTHER_POINTS, theta.size))
    others = tuple(to_numpy(space.constrain(theta + move)) for move in moves)

    def sum_of_sizes(at: Any, data: Any) -> Any:
        return to_numpy(program(model, evaluation.score_magnitude)(at, data))

    scale = None if model.is_joint else sum_of_sizes
    return check_gradient(
        model.log_likelihood, model.gradient, point, data, others=others, scale=scale, seed=seed, **options
    )
