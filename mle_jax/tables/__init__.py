"""Results out: rows first, then text, Markdown, LaTeX, HTML and frames."""

from mle_jax.tables.coefficients import coefficient_table
from mle_jax.tables.summary import summary_text
from mle_jax.tables.table import Table

__all__ = ["Table", "coefficient_table", "summary_text"]
