"""T1, T2, T3: partial derivatives, one at a time and stacked into the gradient.

The function is f(x, y, z) = x^2 sin y + y z + z^3 x throughout.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mle_jax.text.example import Example

ROUNDINGS = 16  # at most 5 multiplications, 2 additions and a sine good to 4 units in the last place, with a reserve


def f(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """Return x^2 sin y + y z + z^3 x."""
    return jnp.sum(summands(x, y, z))


def summands(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """Return the three terms of f, shape (3,)."""
    x, y, z = jnp.asarray(x), jnp.asarray(y), jnp.asarray(z)
    return jnp.stack([x**2 * jnp.sin(y), y * z, z**3 * x])


def partial_x(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """Return df/dx = 2 x sin y + z^3: y and z are constants."""
    return 2 * jnp.asarray(x) * jnp.sin(y) + jnp.asarray(z) ** 3


def partial_y(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """Return df/dy = x^2 cos y + z: x and z are constants."""
    return jnp.asarray(x) ** 2 * jnp.cos(y) + jnp.asarray(z)


def partial_z(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Array:
    """Return df/dz = y + 3 z^2 x: x and y are constants."""
    return jnp.asarray(y) + 3 * jnp.asarray(z) ** 2 * jnp.asarray(x)


def gradient_f(w: ArrayLike) -> Array:
    """Return the vector of the three partials at w = (x, y, z), shape (3,)."""
    x, y, z = jnp.asarray(w)
    return jnp.stack([partial_x(x, y, z), partial_y(x, y, z), partial_z(x, y, z)])


def magnitude_f(w: ArrayLike) -> Array:
    """Return the size of what the partials add up, with 1 for the sine and the cosine, shape (3,)."""
    x, y, z = jnp.abs(jnp.asarray(w))
    return jnp.stack([2 * x + z**3, x**2 + z, y + 3 * z**2 * x])


def random_points(seed: int, count: int) -> Iterator[tuple[np.ndarray, tuple[()]]]:
    """Yield normal points (x, y, z) of standard deviation 2."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield 2.0 * rng.standard_normal(3), ()


def _named_points(seed: int, count: int) -> Iterator[tuple[dict[str, Any], tuple[()]]]:
    rng = np.random.default_rng([seed, 2])  # other points than those of T3
    for w in 2.0 * rng.standard_normal((count, 3)):
        yield dict(zip("xyz", w, strict=True)), ()


T2 = Example(
    id="T2",
    title="Proposition 1, Example 1: partials, one at a time",
    statement="f(x, y, z) = x^2 sin y + y z + z^3 x: df/dx = 2 x sin y + z^3, df/dy = x^2 cos y + z, "
    "df/dz = y + 3 z^2 x",
    function=lambda params: f(**params),
    gradient=lambda params: {"x": partial_x(**params), "y": partial_y(**params), "z": partial_z(**params)},
    cases=_named_points,
    terms=lambda params: summands(**params),
    magnitude=lambda params: dict(zip("xyz", magnitude_f(jnp.stack([params[c] for c in "xyz"])), strict=True)),
    roundings=ROUNDINGS,
)

T3 = Example(
    id="T3",
    title="Definition 2, Example 3: the gradient",
    statement="grad f(w) is the vector of the partials of T2; at w = (1, 2, 3) it is (2 sin 2 + 27, cos 2 + 3, 29)",
    function=lambda w: f(*jnp.asarray(w)),
    gradient=gradient_f,
    cases=random_points,
    terms=lambda w: summands(*jnp.asarray(w)),
    magnitude=magnitude_f,
    roundings=ROUNDINGS,
)
