"""The command line: one module per command, each with `add_parser`; what they import heavily, they import late."""

import argparse
import os
import sys
from collections.abc import Sequence

from mle_jax.cli import check_command, fit_command, models_command

COMMANDS = (fit_command, check_command, models_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0 means success; 1 that a check failed or a fit ended without a certificate; 2 that the usage or the data are bad.

    Args:
        argv: the arguments; by default those of the process.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    from mle_jax import __version__

    parser = argparse.ArgumentParser(
        prog="mle-jax", description="Maximum likelihood with automatic differentiation on JAX."
    )
    parser.add_argument("--version", action="version", version=f"mle-jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
