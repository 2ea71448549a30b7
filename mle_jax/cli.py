"""The command line: `mle-jax check` and what will stand beside it. One function per command."""

import argparse
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 where a check fails (2, from argparse, for bad usage).

    Args:
        argv: the arguments; by default those of the process.
    """
    arguments = _parser().parse_args(argv)
    status: int = arguments.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    from mle_jax import __version__

    parser = argparse.ArgumentParser(
        prog="mle-jax", description="Maximum likelihood with automatic differentiation on JAX."
    )
    parser.add_argument("--version", action="version", version=f"mle-jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for add in (_add_check,):
        add(commands)
    return parser


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "compare every derivative of the text with automatic differentiation and finite differences"
    parser = commands.add_parser("check", help=summary, description=f"{summary}; exit status 1 if anything disagrees.")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the random points (default: 0)")
    parser.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="precision in which the derivatives are compared (default: float64)",
    )
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from mle_jax.text import check

    report = check(arguments.seed, dtype=arguments.dtype)
    print(report)
    return 0 if report.passed else 1


def _seed(word: str) -> int:
    """Read a seed, which NumPy wants to be a whole number of at least 0."""
    try:
        seed = int(word)
    except ValueError:
        seed = -1
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no seed; pass a whole number of at least 0, such as --seed 1")
    return seed
