"""Declarations of parameters, and the way between their flat vector and the named pytree."""

from mle_jax.parameters.constant import Fixed
from mle_jax.parameters.covariance import Covariance
from mle_jax.parameters.equations import constraint_texts
from mle_jax.parameters.holding import FixedEntries
from mle_jax.parameters.interval import Interval
from mle_jax.parameters.keeping import check_kept, check_start, nearest_theta
from mle_jax.parameters.moving import Coordinates, coordinates, hold_more
from mle_jax.parameters.ordered import Ordered
from mle_jax.parameters.positive import Positive
from mle_jax.parameters.protocol import Declaration
from mle_jax.parameters.real import Real
from mle_jax.parameters.resolution import resolve
from mle_jax.parameters.simplex import Simplex
from mle_jax.parameters.space import ParameterSpace

__all__ = [
    "Coordinates",
    "Covariance",
    "Declaration",
    "Fixed",
    "FixedEntries",
    "Interval",
    "Ordered",
    "ParameterSpace",
    "Positive",
    "Real",
    "Simplex",
    "check_kept",
    "check_start",
    "constraint_texts",
    "coordinates",
    "hold_more",
    "nearest_theta",
    "resolve",
]
