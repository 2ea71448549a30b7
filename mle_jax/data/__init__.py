"""Data in: tables and, later, formulas, Parquet files, row blocks and groups."""

from mle_jax.data.tables import is_table, read_table

__all__ = ["is_table", "read_table"]
