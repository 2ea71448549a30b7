"""`mle-jax check`: every derivative of the text, compared."""

import argparse


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    summary = "compare every derivative of the text with automatic differentiation and finite differences"
    parser = commands.add_parser("check", help=summary, description=f"{summary}; exit status 1 if anything disagrees.")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the random points (default: 0)")
    parser.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="precision in which the derivatives are compared (default: float64)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
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
