"""`mle-jax check`: the gradient of a model in a file, or every derivative of the text."""

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mle_jax._text import plural
from mle_jax.cli.words import fault, pair, refuse, seed, separator

if TYPE_CHECKING:
    from mle_jax.cli.targets import Leaves

DESCRIPTION = """\
Compare the handwritten gradient of a model with automatic differentiation and finite differences, at a point and
at random points around it. Without FILE.py:MODEL: every derivative of the text."""

EPILOG = """\
Without columns every column of numbers is a leaf of the data under its own name. A model without a handwritten
gradient has its automatic one compared with finite differences alone.

exit status:
  0  everything agrees
  1  something disagrees: the report says what
  2  the usage, the file or the data are bad: one line on stderr says what to do

example:
  mle-jax check survival.py:model --data patients.csv --params rate=0.5 --plot check.png

--data needs the extra 'data': pip install 'mle-jax[data]'; --plot the extra 'plot'."""

BELONGING = ("params", "response", "features", "leaf", "separator", "plot", "json", "data")
"""Options that say nothing without a model."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="compare a handwritten gradient, or every derivative of the text, with autodiff and finite differences",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="FILE.py:MODEL", help="a Python file and the name of the mle_jax.Model in it")
    add("--seed", type=seed, default=0, help="seed of the random points (default: 0)")
    add(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="precision in which the derivatives are compared (default: float64)",
    )
    add(
        "--params",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="""the point, such as rate=2 'w=[0.5, 1]' or '{"rate": 2}' (default: the start values of the model)""",
    )
    _add_data(parser.add_argument_group("data"))
    group = parser.add_argument_group("outputs")
    group.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw error against step into a .png, .pdf or .svg file"
    )
    group.add_argument("--json", type=Path, metavar="FILE", help="write verdicts and derivatives as JSON")
    parser.set_defaults(run=_run)


def _add_data(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--data", type=Path, metavar="FILE", help="CSV (first line: names of the columns) or Parquet file")
    add("--response", metavar="NAME", help="the column that becomes the leaf y")
    add(
        "--features",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="the columns that become the leaf x, after a column of ones; may be repeated",
    )
    add("--no-intercept", dest="intercept", action="store_false", help="add no column of ones before the features")
    add("--leaf", action="append", default=[], type=pair, metavar="DATA=NAME", help="column for another leaf")
    add("--separator", type=separator, metavar="CHAR", help="between the columns of a CSV file (default: found out)")
    add(
        "--missing",
        choices=("raise", "drop"),
        default="raise",
        help="what to do about missing values (empty cells, NA): stop, or leave the row out (default: raise)",
    )


def _run(arguments: argparse.Namespace) -> int:
    if arguments.model is None:
        return _check_text(arguments)
    from mle_jax.cli import outputs, pictures

    try:
        report, read, title = _check_model(arguments)
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        return refuse("check", error)
    document = outputs.gradient_document(report, _request(arguments, read))
    written = (
        ("--json", arguments.json, lambda path: outputs.write_json(path, document)),
        ("--plot", arguments.plot, lambda path: pictures.draw_check(path, report)),
    )
    faults = [fault(option, path, write) for option, path, write in written if path is not None]
    print(title, end="\n\n")
    print(report)
    statuses = [refuse("check", wrong) for wrong in faults if wrong is not None]
    return 2 if statuses else 0 if report.passed else 1


def _check_text(arguments: argparse.Namespace) -> int:
    given = [option for option in BELONGING if getattr(arguments, option)]
    if given:
        return refuse(
            "check", ValueError(f"--{given[0]} belongs to a model, but none is named; pass FILE.py:MODEL too")
        )
    from mle_jax.text import check

    report = check(arguments.seed, dtype=arguments.dtype)
    print(report)
    return 0 if report.passed else 1


def _check_model(arguments: argparse.Namespace) -> tuple[Any, "Leaves", str]:
    """Check everything that can be checked before derivatives are taken, cheap things first; then take them."""
    from mle_jax.cli import choosing, outputs, pictures, targets
    from mle_jax.data.files import read_file

    if arguments.data is None:
        raise ValueError(f"there are no data to check {arguments.model} with; pass --data FILE")
    point = targets.read_params(arguments.params)
    outputs.check_outputs({"--json": arguments.json, "--plot": arguments.plot}, arguments.data)
    if arguments.plot is not None:
        pictures.check_format(arguments.plot)
    file = read_file(arguments.data, separator=arguments.separator)
    read = targets.read_leaves(
        file,
        response=arguments.response,
        features=choosing.split_features(arguments.features, file.names),
        intercept=arguments.intercept,
        leaves=dict(arguments.leaf),
        drop_missing=arguments.missing == "drop",
    )
    model, name = targets.load_model(arguments.model)
    options = {"dtype": arguments.dtype, "seed": arguments.seed}
    report = targets.checked(arguments.model, model, read.data, point, **options)
    title = _described(arguments.data, file.n_rows, read)
    if model.gradient is None:
        title += f"\n'{name}' has no handwritten gradient: its automatic one is compared with finite differences alone."
    return report, read, title


def _described(path: Path, n_rows: int, read: "Leaves") -> str:
    rows = plural(n_rows, "row")
    if read.n_dropped:
        rows += f", {read.n_dropped} of them left out for missing values"
    parts = [f"Data: {path.name}, {rows}"]
    parts += [leaf if names == (leaf,) else f"{leaf} = {', '.join(names)}" for leaf, names in read.columns.items()]
    parts += [f"without {', '.join(read.left_out)} (no numbers)"] * bool(read.left_out)
    return textwrap.fill("; ".join(parts), 100, subsequent_indent="  ")


def _request(arguments: argparse.Namespace, read: "Leaves") -> dict[str, Any]:
    return {
        "model": arguments.model,
        "data": str(arguments.data),
        "leaves": {leaf: list(names) for leaf, names in read.columns.items()},
        "n_dropped": read.n_dropped,
        "params": list(arguments.params),
        "seed": arguments.seed,
    }
