"""`EXAMPLES`: the items of the text by their number."""

from collections.abc import Mapping
from types import MappingProxyType

from mle_jax.text.descent import T11
from mle_jax.text.example import Example
from mle_jax.text.likelihoods import T4, T5, T7, T12
from mle_jax.text.limits import T1, T10
from mle_jax.text.partials import T2, T3
from mle_jax.text.squared_error import T6, T8, T9

EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {example.id: example for example in (T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12)}
)
"""The worked examples "T1" to "T12", in the order of the chapter; read-only."""
