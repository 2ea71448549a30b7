"""The worked examples of the text, and the check that holds its derivatives against the machine's."""

from mle_jax.text.catalog import EXAMPLES as EXAMPLES
from mle_jax.text.checking import check as check
from mle_jax.text.descent import descend_features as descend_features
from mle_jax.text.descent import descend_line as descend_line
from mle_jax.text.descent import features_data as features_data
from mle_jax.text.descent import line_data as line_data
from mle_jax.text.example import Example as Example
from mle_jax.text.laplace_descent import LaplaceDescent as LaplaceDescent
from mle_jax.text.laplace_descent import descend_laplace as descend_laplace
from mle_jax.text.laplace_descent import laplace_data as laplace_data
from mle_jax.text.report import TextReport as TextReport

__all__ = [
    "EXAMPLES",
    "Example",
    "LaplaceDescent",
    "TextReport",
    "check",
    "descend_features",
    "descend_laplace",
    "descend_line",
    "features_data",
    "laplace_data",
    "line_data",
]
