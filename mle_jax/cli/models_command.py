"""`mle-jax models`: one row per ready-made model."""

import argparse

from mle_jax.cli.leaves import optional_leaves
from mle_jax.cli.ready_made import NAMES, describe, example_of


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    summary = "list the ready-made models with their log densities, parameters and data"
    parser = commands.add_parser("models", help=summary, description=f"{summary}.")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from mle_jax.tables import Table

    rows = [describe(name) for name in NAMES]
    columns = {
        "model": [row.name for row in rows],
        "data": [
            ", ".join([*row.data, *(f"[{leaf}]" for leaf in optional_leaves(example_of(row.name)))]) for row in rows
        ],
        "parameters": [", ".join(row.parameters) for row in rows],
        "options": [", ".join(row.options) for row in rows],
        "log density of one observation": [row.formula for row in rows],
    }
    print(
        Table(
            columns,
            notes=(
                "",
                "Data: y is the column of --response; x are those of --features, after an intercept unless cutpoints",
                "have its place; others are given by --leaf DATA=NAME. Those in [brackets] may be left out.",
                "Fit one with: mle-jax fit MODEL DATA.csv --response NAME --features NAME,NAME --option NAME=VALUE",
            ),
        )
    )
    return 0
