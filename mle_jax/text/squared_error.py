"""T6, T8, T9: the mean squared error R, its tie to the likelihood, and the identities that give its gradient.

R(w) = norm(y - X w)^2 / n, with the residuals r = y - X w; for a line R(w0, w1) = (1/n) sum_i (y_i - w1 x_i - w0)^2.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.models import linear_gaussian
from mle_jax.optimizers.least_squares import solve_least_squares
from mle_jax.text.example import Example, answer
from mle_jax.text.likelihoods import COLUMNS, OPERATIONS, ROWS, Case, absolute_residuals, lines

_likelihood = linear_gaussian()


def mean_squared_error(params: Any, x: Any, y: Any) -> Array:
    """Return R(w) = norm(y - X w)^2 / n for params ``{"w": (p,)}``, x (n, p) and y (n,)."""
    return jnp.mean((y - x @ params["w"]) ** 2)


def gradient_as_matrix(params: Any, x: Any, y: Any) -> Any:
    """Return grad R = (2/n) X' (X w - y): the chain rule with d norm(v)^2 = 2 v and v = X w - y."""
    return {"w": 2.0 / jnp.shape(y)[0] * (x.T @ (x @ params["w"] - y))}


def gradient_as_sum(params: Any, x: Any, y: Any) -> Any:
    """Return the same entry by entry: dR/dw_k = -(2/n) sum_i x_ik r_i."""
    r = y - x @ params["w"]
    return {"w": -2.0 / jnp.shape(y)[0] * jnp.sum(x * r[:, None], axis=0)}


def magnitude(params: Any, x: Any, y: Any) -> Any:
    """Return the formula of the gradient with absolute values, see `Example`."""
    return {"w": 2.0 / jnp.shape(y)[0] * jnp.abs(x).T @ absolute_residuals(params["w"], x, y)}


def _line_error(params: Any, x: Any, y: Any) -> Array:
    return jnp.mean((y - params["w1"] * x - params["w0"]) ** 2)


def _line_gradient(params: Any, x: Any, y: Any) -> Any:
    # d/dw0 of r_i^2 is 2 r_i (-1), d/dw1 of r_i^2 is 2 r_i (-x_i): the minus sign and the sum are what people drop.
    r = y - params["w1"] * x - params["w0"]
    n = jnp.shape(y)[0]
    return {"w0": -2.0 / n * jnp.sum(r), "w1": -2.0 / n * jnp.sum(x * r)}


def _line_magnitude(params: Any, x: Any, y: Any) -> Any:
    r = jnp.abs(y) + jnp.abs(params["w1"] * x) + jnp.abs(params["w0"])
    return {"w0": 2.0 * jnp.mean(r), "w1": 2.0 * jnp.mean(jnp.abs(x) * r)}


def _line_terms(params: Any, x: Any, y: Any) -> Array:
    return (y - params["w1"] * x - params["w0"]) ** 2 / jnp.shape(y)[0]


def _best_line(x: Any, y: Any) -> Any:
    """Return w1 = sum (x_i - x_mean) (y_i - y_mean) / sum (x_i - x_mean)^2 and w0 = y_mean - w1 x_mean."""
    dx, dy = x - jnp.mean(x), y - jnp.mean(y)
    slope = jnp.sum(dx * dy) / jnp.sum(dx**2)
    return {"w0": jnp.mean(y) - slope * jnp.mean(x), "w1": slope}


def _line_cases(seed: int, count: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.uniform(-2.0, 2.0, ROWS)
        y = rng.standard_normal() + rng.standard_normal() * x + rng.standard_normal(ROWS)
        yield {"w0": 2.0 * rng.standard_normal(), "w1": 2.0 * rng.standard_normal()}, (x, y)


def _likelihood_of_w(params: Any, x: Any, y: Any, s2: Any) -> Array:
    return _likelihood.log_likelihood({"w": params["w"], "variance": s2}, {"x": x, "y": y})


def _likelihood_terms(params: Any, x: Any, y: Any, s2: Any) -> Array:
    return _likelihood.contributions({"w": params["w"], "variance": s2}, {"x": x, "y": y})


def _scaled_gradient(params: Any, x: Any, y: Any, s2: Any) -> Any:
    return {"w": -jnp.shape(y)[0] / (2 * s2) * gradient_as_matrix(params, x, y)["w"]}


def _likelihood_cases(seed: int, count: int) -> Iterator[Case]:
    for params, (data,) in lines(seed, count):
        yield {"w": params["w"]}, (data["x"], data["y"], params["variance"])


def _identities(params: Any, a: Any, x: Any, y: Any) -> Array:
    """Return norm(v)^2 + f(A u) + R(w) with f(z) = sum z_j^3 / 3: three functions, one parameter each."""
    return jnp.sum(_identity_terms(params, a, x, y))


def _identity_terms(params: Any, a: Any, x: Any, y: Any) -> Array:
    errors = (x @ params["w"] - y) ** 2 / jnp.shape(y)[0]
    return jnp.concatenate([jnp.asarray(params["v"]) ** 2, (a @ params["u"]) ** 3 / 3, errors])


def _identity_gradient(params: Any, a: Any, x: Any, y: Any) -> Any:
    v, u = jnp.asarray(params["v"]), params["u"]
    return {"v": 2 * v, "u": a.T @ (a @ u) ** 2, "w": gradient_as_matrix(params, x, y)["w"]}


def _identity_gradient_by_entries(params: Any, a: Any, x: Any, y: Any) -> Any:
    by_entries = gradient_as_sum(params, x, y)["w"]
    return {**_identity_gradient(params, a, x, y), "w": by_entries}


def _identity_magnitude(params: Any, a: Any, x: Any, y: Any) -> Any:
    return {
        "v": 2 * jnp.abs(params["v"]),
        "u": jnp.abs(a).T @ (jnp.abs(a) @ jnp.abs(params["u"])) ** 2,
        "w": magnitude(params, x, y)["w"],
    }


def _identity_cases(seed: int, count: int) -> Iterator[Case]:
    rng = np.random.default_rng([seed, 9])
    for params, (data,) in lines(seed, count):
        points = {"v": rng.standard_normal(4), "u": rng.standard_normal(4), "w": params["w"]}
        yield points, (rng.standard_normal((3, 4)), data["x"], data["y"])


T6 = Example(
    id="T6",
    title="The Gradient: mean squared error of a line",
    statement="R(w0, w1) = (1/n) sum (y_i - w1 x_i - w0)^2: dR/dw0 = -(2/n) sum r_i, dR/dw1 = -(2/n) sum x_i r_i; the "
    "gradient points uphill, across the contours",
    function=_line_error,
    gradient=_line_gradient,
    cases=_line_cases,
    terms=_line_terms,
    magnitude=_line_magnitude,
    roundings=ROWS + OPERATIONS,
    closed_form=answer(_best_line),
)

T8 = Example(
    id="T8",
    title="Gradient of the Linear-Gaussian Log-Likelihood, from R",
    statement="L = C - n R / (2 s2), so grad L = -(n / (2 s2)) grad R: to maximize L over w is to minimize R",
    function=_likelihood_of_w,
    gradient=_scaled_gradient,
    cases=_likelihood_cases,
    terms=_likelihood_terms,
    magnitude=lambda params, x, y, s2: {"w": ROWS / (2 * s2) * magnitude(params, x, y)["w"]},
    roundings=ROWS + 2 * COLUMNS + OPERATIONS,
    closed_form=answer(lambda x, y, s2: {"w": solve_least_squares(jnp.asarray(x), jnp.asarray(y))}),
)

T9 = Example(
    id="T9",
    title="Deriving and Checking Gradient Formulas",
    statement="grad norm(v)^2 = 2 v and grad of u -> f(A u) is A' grad f(A u); hence grad R = (2/n) X' (X w - y), "
    "entry by entry -(2/n) sum_i x_ik r_i",
    function=_identities,
    gradient=_identity_gradient,
    other_forms=(_identity_gradient_by_entries,),
    cases=_identity_cases,
    terms=_identity_terms,
    magnitude=_identity_magnitude,
    roundings=ROWS + 2 * COLUMNS + OPERATIONS,
)
