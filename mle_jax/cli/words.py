"""What the commands share: how words of the command line are read, and complaints of one line."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

WORDS = {"tab": "\t", "\\t": "\t"}


def pair(word: str) -> tuple[str, str]:
    """Read NAME=VALUE."""
    name, equals, value = word.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{word!r} must be NAME=VALUE, such as variance=2.0")
    return name, value


def separator(word: str) -> str:
    """Read what stands between the columns of a file."""
    character = WORDS.get(word, word)
    if len(character) != 1 or character in '"\r\n' or not character.isascii():
        raise argparse.ArgumentTypeError(f"{word!r} must be a single character, such as ';', or the word tab")
    return character


def seed(word: str) -> int:
    """Read a seed, which NumPy wants to be a whole number of at least 0."""
    try:
        number = int(word)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no seed; pass a whole number of at least 0, such as --seed 1")
    return number


def refuse(command: str, error: BaseException) -> int:
    """Say in one line what is wrong, and return the exit status for it."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error  # str() of a KeyError adds quotes
    print(f"mle-jax {command}: error: {one_line(text)}", file=sys.stderr)
    return 2


def one_line(text: object) -> str:
    """Put a text into one line."""
    return " ".join(str(text).split())


def fault(option: str, path: Path, write: Callable[[Path], None]) -> Exception | None:
    """Write a file; return why it could not be, such as a full disk, which is no reason not to print the table."""
    try:
        write(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
    else:
        return None
    return OSError(f"{option} names '{path}', which could not be written: {reason}; the table is printed all the same")
