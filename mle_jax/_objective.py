"""A scalar function of a flat vector, evaluated together with its derivatives."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Evaluation(NamedTuple):
    """What is known about the objective at one point (k coordinates)."""

    point: Array  # (k,)
    value: Array  # ()
    magnitude: Array  # (): size of the pieces that were summed to the value; its rounding error is eps times this
    gradient: Array  # (k,)
    hessian: Array  # (k, k); (0, 0) where it was not asked for

    @property
    def is_finite(self) -> Array:
        """Whether value and gradient are finite; the Hessian is the business of who asked for it."""
        return jnp.isfinite(self.value) & jnp.all(jnp.isfinite(self.gradient))


class Objective(NamedTuple):
    """A function to minimize, in the form that the optimizers share.

    Attributes:
        function: takes a point (k,) and returns (value, magnitude), both scalars.
        gradient: replaces automatic differentiation for the gradient where it is given.
        curvatures: matrices (k, k) that may stand in for the Hessian in a search: functions of the point, by name.
        first: value, magnitude and gradient in one pass, where there is something better than to differentiate.
        second: the same with the Hessian.
        several: values at several points (m, k) in one pass, (m,).
        on_diagonal: the diagonal of the Hessian, (k,), without the rest.
    """

    function: Callable[[Array], tuple[Array, Array]]
    gradient: Callable[[Array], Array] | None = None
    curvatures: Mapping[str, Callable[[Array], Array]] = MappingProxyType({})
    first: Callable[[Array], tuple[Array, Array, Array]] | None = None
    second: Callable[[Array], tuple[Array, Array, Array, Array]] | None = None
    several: Callable[[Array], Array] | None = None
    on_diagonal: Callable[[Array], Array] | None = None

    def value(self, point: Array) -> Array:
        """Evaluate the function alone."""
        return self.function(point)[0]

    def values(self, points: Array) -> Array:
        """Evaluate the function alone at every one of the points (m, k), shape (m,)."""
        return jax.lax.map(self.value, points) if self.several is None else self.several(points)

    def with_gradient(self, point: Array) -> Evaluation:
        """Evaluate value and gradient in one pass."""
        if self.first is not None:
            value, magnitude, gradient = self.first(point)
        else:
            (value, magnitude), gradient = jax.value_and_grad(self.function, has_aux=True)(point)
        if self.gradient is not None:
            gradient = self.gradient(point)
        return Evaluation(point, value, magnitude, gradient, jnp.zeros((0, 0), point.dtype))

    def with_hessian(self, point: Array) -> Evaluation:
        """Evaluate value, gradient and Hessian in one pass (forward over reverse, the primal work shared)."""
        if self.second is not None:
            value, magnitude, gradient, hessian = self.second(point)
        else:
            value, magnitude, gradient, hessian = self._differentiated(point)
        if self.gradient is not None:
            gradient = self.gradient(point)
        return Evaluation(point, value, magnitude, gradient, (hessian + hessian.T) / 2)

    def _differentiated(self, point: Array) -> tuple[Array, Array, Array, Array]:

        def gradient_first(at: Array) -> tuple[Array, tuple[Array, Array]]:
            values, gradient = jax.value_and_grad(self.function, has_aux=True)(at)
            return gradient, values

        gradient, push, (value, magnitude) = jax.linearize(gradient_first, point, has_aux=True)
        return value, magnitude, gradient, jax.vmap(push)(jnp.eye(point.size, dtype=point.dtype))

    def diagonal(self, point: Array) -> Array:
        """Evaluate the diagonal of the Hessian alone, (k,): products with some unit vectors at a time."""
        if self.on_diagonal is not None:
            return self.on_diagonal(point)
        _, push = jax.linearize(lambda at: self.with_gradient(at).gradient, point)
        entry = lambda i: push(jnp.zeros_like(point).at[i].set(1.0))[i]  # noqa: E731
        return jax.lax.map(entry, jnp.arange(point.size), batch_size=64)

    def with_curvature(self, point: Array, kind: str) -> Evaluation:
        """Evaluate value, gradient and the curvature of that kind; "observed" is the Hessian."""
        if kind == "observed":
            return self.with_hessian(point)
        return self.with_gradient(point)._replace(hessian=self.curvatures[kind](point))
