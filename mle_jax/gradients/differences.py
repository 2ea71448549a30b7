"""Finite differences: one quotient per coordinate, with a step that suits the coordinate and the precision."""

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from mle_jax._precision import in_float64
from mle_jax.gradients.coordinates import Coordinates, Vector, cast, name_coordinates, require_dtype, typical_sizes
from mle_jax.gradients.evaluation import MEMORY, Function, Probe, noise_level

METHODS = ("forward", "central")


@in_float64
def finite_difference(
    function: Function,
    params: Any,
    *args: Any,
    step: Any = None,
    method: str = "central",
    dtype: str = "float64",
    memory: int = MEMORY,
) -> Any:
    """Approximate a gradient by difference quotients.

    Forward: (f(x + h e_i) - f(x)) / h, with an error like h f''/2 + 2 noise/h. Central:
    (f(x + h e_i) - f(x - h e_i)) / (2 h), with an error like h^2 f'''/6 + noise/h.

    Args:
        function: ``function(params, *args) -> scalar``, traceable by JAX.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        step: the step h, one number or a pytree like params; by default the one that makes the error smallest,
            h = 2 sqrt(noise/f'') or (3 noise/f''')^(1/3) for each coordinate, with the noise and the higher derivative
            estimated from a few values of the function.
        method: "forward" or "central".
        dtype: "float64" or "float32", the precision in which the function is evaluated.
        memory: bytes that the points evaluated together may take.

    Returns:
        A pytree like params, NumPy float64; NaN where the function is not finite within a step.

    Raises:
        TypeError: a parameter is not a float, or the function does not return a real number.
        ValueError: the step is not above 0, or method or dtype is unknown.

    Reference:
        Text, Definition 1 (T1); P. E. Gill, W. Murray and M. H. Wright, Practical Optimization (1981), section 8.6.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> gradient = mle.finite_difference(lambda p: p["a"] ** 2 * jnp.exp(p["b"]), {"a": 3.0, "b": 0.0})
        >>> round(float(gradient["a"]), 6), round(float(gradient["b"]), 6)
        (6.0, 9.0)
    """
    require_dtype(dtype)
    require_method(method)
    coords, point = name_coordinates(params)
    probe = Probe(function, coords.positions, cast(args, dtype), point.astype(dtype), memory)
    everything = np.arange(coords.size)
    value = float(probe.at(probe.point[None])[0])
    steps = default_steps(probe, coords, value, method=method) if step is None else _given_steps(step, coords)
    return coords.tree(quotients(probe, everything, steps, value=value, method=method))


def quotients(
    probe: Probe, indices: NDArray[np.int64], steps: Vector, *, value: float, method: str, exact_steps: bool = True
) -> Vector:
    """Return difference quotients (m,) for coordinates (m,) and steps (m,).

    Args:
        probe: the function at the point.
        indices: which coordinates.
        steps: above 0.
        value: the function's value at the point.
        method: "forward" or "central".
        exact_steps: divide by the step that arithmetic made, (x + h) - x, rather than by h.
    """
    ahead, up = _move(probe, indices, steps)
    behind, down = (0.0 * steps, value) if method == "forward" else _move(probe, indices, -steps)
    nominal = steps if method == "forward" else 2.0 * steps
    with np.errstate(all="ignore"):
        return np.asarray((up - down) / (ahead - behind if exact_steps else nominal))


def default_steps(probe: Probe, coords: Coordinates, value: float, *, method: str) -> Vector:
    """Return the step (k,) that balances truncation against rounding, from values at a few trial steps."""
    sizes = typical_sizes(coords, probe.point.astype(np.float64))
    indices = np.arange(coords.size)
    trial = sizes / 64.0
    noise = noise_level(probe, value, sizes) if np.isfinite(value) else np.nan
    values = [probe.along(indices, factor * trial)[0] for factor in (1.0, -1.0, 2.0, -2.0)]
    with np.errstate(all="ignore"):
        if method == "forward":
            bend = np.abs(values[0] - 2.0 * value + values[1]) / trial**2
            best = 2.0 * np.sqrt(noise / np.maximum(bend, noise / trial**2))
            usual = np.sqrt(np.finfo(probe.point.dtype).eps) * sizes
        else:
            outer, inner = (values[2] - values[3]) / (4.0 * trial), (values[0] - values[1]) / (2.0 * trial)
            third = 2.0 * np.abs(outer - inner) / trial**2
            best = np.cbrt(3.0 * noise / np.maximum(third, noise / trial**3))
            usual = np.cbrt(np.finfo(probe.point.dtype).eps) * sizes
    least = 4.0 * np.finfo(probe.point.dtype).eps * sizes
    return np.asarray(np.where(np.isfinite(best) & (best > 0.0), np.maximum(best, least), usual))


def require_method(method: str) -> None:
    """Raise ValueError unless the method is known."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, but it is 'forward' or 'central'; pass one of these")


def _move(probe: Probe, indices: NDArray[np.int64], offsets: Vector) -> tuple[Vector, Any]:
    values, made = probe.along(indices, offsets)
    return made, values


def _given_steps(step: Any, coords: Coordinates) -> Vector:
    one = jax.tree_util.all_leaves([step]) and np.ndim(step) == 0
    steps = np.full(coords.size, float(step)) if one else coords.flat(step, "step")
    if not (np.all(steps > 0.0) and np.all(np.isfinite(steps))):
        raise ValueError(f"step is {step}, but a step must be above 0 and finite; pass for instance step=1e-5")
    return steps
