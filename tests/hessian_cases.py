"""Functions with Hessians derived by hand, and the slips that people make in them: tables for the tests of the check.

Each Hessian is written as the matrices of single observations (n, k, k); their sum is the right one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, polygamma

N = 60
RNG = np.random.default_rng(42)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
W = np.array([0.5, -1.0, 0.25])
Y = X @ W + RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(X @ W / 2))
LABELS = (RNG.random(N) < 0.5).astype(float)
TIMES = RNG.exponential(size=N)
PAIRS = RNG.normal(size=(N, 2))
UNITS = np.array([1.0, 1e8, 1e-8])
FACTORS = np.array([[1.2, -0.4, 0.7], [0.3, 0.9, -1.1]])


class Case(NamedTuple):
    """A function of (params, *args), the terms of its Hessian, and where to check it."""

    function: Callable[..., Any]
    terms: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]


def gaussian(p, x):
    return jnp.sum(-jnp.log(2 * jnp.pi * p["v"]) / 2 - (x - p["mu"]) ** 2 / (2 * p["v"]))


def gaussian_terms(p, x):
    r, v = x - p["mu"], p["v"]
    return symmetric([[-jnp.ones_like(r) / v], [-r / v**2, 1 / (2 * v**2) - r**2 / v**3]])


def linear_gaussian(p, x, y):
    return jnp.sum(-jnp.log(2 * jnp.pi * p["v"]) / 2 - (y - x @ p["w"]) ** 2 / (2 * p["v"]))


def linear_gaussian_terms(p, x, y):
    r, v = y - x @ p["w"], p["v"]
    top = -x[:, :, None] * x[:, None, :] / v
    cross = -x * r[:, None] / v**2
    return bordered(top, cross, 1 / (2 * v**2) - r**2 / v**3)


def logistic(w, x, y):
    return jnp.sum(y * (x @ w) - jax.nn.softplus(x @ w))


def logistic_terms(w, x, y):
    q = jax.nn.sigmoid(x @ w)
    return -(q * (1 - q))[:, None, None] * x[:, :, None] * x[:, None, :]


def raised_logistic(w, x, y):
    return 1e9 + logistic(w, x, y)


def poisson(w, x, y):
    return jnp.sum(y * (x @ w) - jnp.exp(x @ w) - gammaln(y + 1.0))


def poisson_terms(w, x, y):
    return -jnp.exp(x @ w)[:, None, None] * x[:, :, None] * x[:, None, :]


def gamma(p, t):
    return jnp.sum(p["a"] * jnp.log(p["r"]) - gammaln(p["a"]) + (p["a"] - 1) * jnp.log(t) - p["r"] * t)


def gamma_terms(p, t):
    one = jnp.ones_like(t)
    return symmetric([[-polygamma(1, p["a"]) * one], [one / p["r"], -p["a"] / p["r"] ** 2 * one]])


def weibull(p, t):
    return jnp.sum(jnp.log(p["k"] / p["l"]) + (p["k"] - 1) * jnp.log(t / p["l"]) - (t / p["l"]) ** p["k"])


def weibull_terms(p, t):
    k, scale = p["k"], p["l"]
    log, z = jnp.log(t / scale), (t / scale) ** k
    cross = (z - 1) / scale + k / scale * z * log
    return symmetric([[-1 / k**2 - z * log**2], [cross, -k / scale**2 * (z - 1) - (k / scale) ** 2 * z]])


def cauchy(p, y):
    return jnp.sum(-jnp.log(jnp.pi * p["g"]) - jnp.log1p(((y - p["m"]) / p["g"]) ** 2))


def cauchy_terms(p, y):
    r, g = y - p["m"], p["g"]
    q = g**2 + r**2
    corner = 1 / g**2 - 2 * r**2 * (q + 2 * g**2) / (g * q) ** 2
    return symmetric([[2 * (r**2 - g**2) / q**2], [-4 * r * g / q**2, corner]])


def sines(p, x, factor):
    return factor * jnp.sum(jnp.sin(x * p["a"] + p["b"]))


def sines_terms(p, x, factor):
    s = -factor * jnp.sin(x * p["a"] + p["b"])
    return symmetric([[s], [s * x, s * x**2]])  # b is declared before a


def product(p, y):  # a product of matrices: the second derivatives mix the two
    return jnp.sum((y @ p["A"] @ p["B"]) ** 2) / 2


def product_terms(p, y):
    a, b = p["A"], p["B"]
    left = jnp.einsum("ni,nj,kl,ml->nikjm", y, y, b, b)
    u, fit = y @ a, y @ a @ b
    right = jnp.einsum("nk,nm,lo->nklmo", u, u, jnp.eye(b.shape[1]))
    cross = jnp.einsum("ni,nm,kl->nikml", y, u, b) + jnp.einsum("ni,nl,km->nikml", y, fit, jnp.eye(b.shape[0]))
    n, s, t = y.shape[0], a.size, b.size
    left, right, cross = left.reshape(n, s, s), right.reshape(n, t, t), cross.reshape(n, s, t)
    return jnp.concatenate(
        [jnp.concatenate([left, cross], 2), jnp.concatenate([cross.swapaxes(1, 2), right], 2)], axis=1
    )


def mean_squares(p, x, y):
    return jnp.mean((y - p["slope"] * x - p["icept"]) ** 2)


def mean_squares_terms(p, x, y):
    n = x.size
    return symmetric([[2 * x**2 / n], [2 * x / n, jnp.full(n, 2.0) / n]])


def symmetric(lower):
    """Stack the entries of a 2 x 2 matrix, given as rows of its lower triangle."""
    (a,), (b, c) = lower
    return jnp.stack([jnp.stack([a, b], -1), jnp.stack([b, c], -1)], -1)


def bordered(top, cross, corner):
    above = jnp.concatenate([top, cross[:, :, None]], axis=2)
    below = jnp.concatenate([cross, corner[:, None]], axis=1)[:, None, :]
    return jnp.concatenate([above, below], axis=1)


W_HAT = np.linalg.lstsq(X, Y, rcond=None)[0]
TOP = {"w": W_HAT, "v": float(np.mean((Y - X @ W_HAT) ** 2))}

CASES = {
    "gaussian": Case(gaussian, gaussian_terms, {"mu": 0.3, "v": 1.7}, (Y,)),
    "linear-gaussian": Case(linear_gaussian, linear_gaussian_terms, {"w": 0.5 * W, "v": 1.1}, (X, Y)),
    "linear-gaussian at its maximum": Case(linear_gaussian, linear_gaussian_terms, TOP, (X, Y)),
    "logistic": Case(logistic, logistic_terms, W, (X, LABELS)),
    "logistic + 1e9": Case(raised_logistic, logistic_terms, W, (X, LABELS)),
    "poisson": Case(poisson, poisson_terms, 0.4 * W, (X, COUNTS)),
    "poisson, scales 1e-8 to 1e8": Case(poisson, poisson_terms, 0.4 * W / UNITS, (X * UNITS, COUNTS)),
    "gamma": Case(gamma, gamma_terms, {"a": 1.3, "r": 0.8}, (TIMES,)),
    "gamma, times of 1e8": Case(gamma, gamma_terms, {"a": 1.3, "r": 0.8e-8}, (1e8 * TIMES,)),
    "weibull": Case(weibull, weibull_terms, {"k": 1.5, "l": 1.2}, (TIMES,)),
    "cauchy": Case(cauchy, cauchy_terms, {"m": 0.1, "g": 0.6}, (Y,)),
    "1e-8 sines": Case(sines, sines_terms, {"b": 0.2, "a": 0.7}, (Y, 1e-8)),
    "1e8 sines": Case(sines, sines_terms, {"b": 0.2, "a": 0.7}, (Y, 1e8)),
    "product of matrices": Case(product, product_terms, {"A": FACTORS.T[:2], "B": FACTORS}, (PAIRS,)),
    "mean of squares": Case(mean_squares, mean_squares_terms, {"slope": 0.2, "icept": 0.7}, (X[:, 1], Y)),
}


def right(case, p, *args):
    return np.asarray(case.terms(p, *args)).sum(axis=0)


gradient_of = jax.jit(lambda function, p, args: jax.grad(function)(p, *args), static_argnums=0)


def flat_gradient(case, p, *args):
    """Return the gradient (k,) in the order of declaration, by autodiff: an ingredient of some slips."""
    found = gradient_of(case.function, p, args)
    leaves = [found[name] for name in p] if isinstance(p, dict) else [found]
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


def row_gradients(case, p, *args):
    """Return the gradients (n, k) of the observations, where they are those of datasets of one row."""
    rows = [[arg[i : i + 1] if np.ndim(arg) else arg for arg in args] for i in range(N)]
    return np.stack([flat_gradient(case, p, *row) for row in rows])


def slices(p):
    sizes = [np.size(leaf) for leaf in (p.values() if isinstance(p, dict) else [p])]
    ends = np.cumsum(sizes)
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def blocks(case):
    """Return 1 in the blocks of one leaf with itself, 0 elsewhere."""
    k = sum(piece.stop - piece.start for piece in slices(case.params))
    inside = np.zeros((k, k))
    for piece in slices(case.params):
        inside[piece, piece] = 1
    return inside


def masked(mask):
    def mutant(case, p, *args):
        return mask(case) * right(case, p, *args)

    return mutant


def times(factor):
    return masked(lambda case: factor)


def only_diagonal(case):
    return np.eye(len(blocks(case)))


def diagonal_blocks(case):
    return blocks(case)


def upper_triangle(case):
    return np.triu(np.ones_like(blocks(case)))


def flipped_cross_terms(case):
    return 2 * blocks(case) - 1


def flipped_off_diagonal(case):
    return 2 * only_diagonal(case) - 1


def without_last_block(case):
    mask = np.ones_like(blocks(case))
    last = slices(case.params)[-1]
    mask[last, last] = 0
    return mask


def half_cross_terms(case):
    return np.where(blocks(case) > 0, 1.0, 0.5)


def outer_products(case, p, *args):
    if case.function in (mean_squares, raised_logistic):  # rows of these are no datasets of their own
        return right(case, p, *args)
    found = row_gradients(case, p, *args)
    return -found.T @ found


def outer_product(case, p, *args):
    found = flat_gradient(case, p, *args)
    return -np.outer(found, found)


def in_logarithms(case, p, *args):
    """Return second derivatives with respect to the logarithms of the leaves that are positive."""
    theta = np.concatenate([np.ravel(leaf) for leaf in (p.values() if isinstance(p, dict) else [p])])
    positive = np.zeros(theta.size, bool)
    if isinstance(p, dict):
        last = slices(p)[-1]
        positive[last] = np.all(theta[last] > 0)
    scale = np.where(positive, theta, 1.0)
    bent = right(case, p, *args) * scale[:, None] * scale
    return bent + np.diag(np.where(positive, theta * flat_gradient(case, p, *args), 0.0))


def alphabetical(case, p, *args):
    matrix = right(case, p, *args)
    if not isinstance(p, dict):
        return matrix
    pieces = dict(zip(p, slices(p), strict=True))
    order = np.concatenate([np.arange(len(matrix))[pieces[name]] for name in sorted(p)])
    return matrix[np.ix_(order, order)]


def covariance(case, p, *args):
    return -np.linalg.inv(right(case, p, *args))


def lopsided(case, p, *args):
    matrix = right(case, p, *args).copy()
    matrix[-1, 0] *= -1.0
    return matrix


SLIPS = {
    "it is the information, -H": times(-1.0),
    "is 2 times the right one": times(2.0),
    "is 1/2 of the right one": times(0.5),
    f"is 1/n = 1/{N} times the right one": times(1 / N),
    f"is n = {N} times the right one": times(float(N)),
    "is minus 2 times the right one": times(-2.0),
    "is 1.2500000 times the right one": times(1.25),
    "Only the diagonal": masked(only_diagonal),
    "has only the blocks on its diagonal": masked(diagonal_blocks),
    "Only the upper triangle": masked(upper_triangle),
    "sign of the cross-terms between the parameters is flipped": masked(flipped_cross_terms),
    "sign of every off-diagonal entry": masked(flipped_off_diagonal),
    "is zero in the block": masked(without_last_block),
    "the handwritten Hessian is 1/2 of the right one": masked(half_cross_terms),
    "outer products of their gradients": outer_products,
    "outer product of the gradient with itself": outer_product,
    "with respect to the logarithm": in_logarithms,
    "alphabetical order": alphabetical,
    "covariance matrix": covariance,
    "is not symmetric": lopsided,
}
