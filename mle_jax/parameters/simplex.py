"""`Simplex`: probabilities that sum to one, searched as log-ratios to the last of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax.parameters.declared import (
    Numbers,
    as_float,
    as_labels,
    as_size,
    entry_fault,
    frozen_numbers,
    in_words,
    labelled,
    log_range,
    refuse_bad_start,
    settle,
    start_array,
    text_of,
)
from mle_jax.parameters.protocol import Array, Fault


@dataclass(frozen=True, init=False, repr=False)
class Simplex:
    """Declare positive entries that sum to one: value = softmax(free_1, ..., free_(m-1), 0).

    It counts as m - 1 parameters. Every entry stays strictly positive however far out the free coordinates lie.

    Args:
        size: the number m of entries.
        start: where a search starts, an array (m,); by default 1/m each.
        labels: names of the entries.

    Raises:
        ValueError: if the number of labels is not the size, or a start does not lie on the simplex.

    Reference:
        Aitchison (1986), The Statistical Analysis of Compositional Data, section 6.2 (the additive log-ratio).

    Example:
        >>> from mle_jax import Simplex
        >>> share = Simplex(3, labels=("rail", "road", "air"))
        >>> share.free_size, share.entry_labels("p")[0]
        (2, 'p[rail]')
    """

    size: int
    start: Numbers | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = False

    def __init__(self, size: int, *, start: ArrayLike | None = None, labels: Sequence[str] | None = None) -> None:
        """Check and store the declaration."""
        size = as_size(size, "Simplex")
        numbers = None if start is None else frozen_numbers(start, "Simplex(start=...): start")
        settle(self, size=size, start=numbers, labels=as_labels(labels, "Simplex", size))
        refuse_bad_start(self)

    def __repr__(self) -> str:
        """Write the declaration as the user would."""
        return text_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (m,) of the value."""
        return (self.size,)

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates, m - 1."""
        return self.size - 1

    @property
    def flat_size(self) -> int:
        """The number of named entries, m."""
        return self.size

    def constrain(self, free: jax.Array) -> jax.Array:
        """Map log-ratios (m - 1,) to the simplex."""
        weights = jnp.exp(self._logits(free))
        return weights / jnp.sum(weights)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map a value (m,) to its log-ratios (m - 1,) to the last entry; a zero counts as the least positive number."""
        array = as_float(value)
        low, _ = log_range(array.dtype)
        logs = jnp.log(jnp.maximum(array, math.exp(low)))
        return logs[:-1] - logs[-1]

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d value[:m-1] / d free|, the sum of the logs of all m entries."""
        logits = self._logits(free)
        return jnp.sum(logits - jax.nn.logsumexp(logits))

    def _logits(self, free: jax.Array) -> jax.Array:
        """Append the zero of the last entry, shift the greatest to zero, and clip what would underflow."""
        free = as_float(free)
        logits = jnp.append(free, jnp.zeros(1, free.dtype))
        # softmax does not change with a shift, so the shift needs no derivative. The division by the sum, at most m,
        # must not underflow either.
        shifted = logits - jax.lax.stop_gradient(jnp.max(logits))
        return jnp.maximum(shifted, log_range(free.dtype)[0] + math.log(self.size))

    def flatten(self, value: Array) -> Array:
        """List the entries (m,) of a value."""
        return value.reshape(-1)

    def unflatten(self, flat: Array) -> Array:
        """Put entries (m,) back into a value."""
        return flat.reshape(self.shape)

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries: ``p[0]``, or ``p[rail]``."""
        return labelled(name, self.shape, self.labels)

    def default_start(self) -> np.ndarray:
        """Return the declared start, by default 1/m each."""
        return start_array(1.0 / self.size if self.start is None else self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that is not positive, or a sum that is not one, or None."""
        fault = entry_fault(value, self.shape, lambda entries: entries > 0.0, "must be above 0")
        if fault is not None:
            return fault
        total = float(np.sum(np.asarray(value, dtype=np.float64)))
        # Loose enough for values that were normalized in float32 or typed in with seven digits.
        if abs(total - 1.0) > 1e-6 + self.size * float(np.finfo(np.float32).eps):
            return Fault(None, f"sums to {total!r}", "must sum to 1")
        return None

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)
