"""`mle-jax fit`: a ready-made model, a file, and the table that a statistician expects."""

import argparse
import ast
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mle_jax._text import plural
from mle_jax.cli.words import fault, one_line, pair, refuse, separator

if TYPE_CHECKING:
    from mle_jax.cli.choosing import Choice
    from mle_jax.cli.columns import Selection
    from mle_jax.likelihood import Model
    from mle_jax.results import Fit

DESCRIPTION = """\
Fit a ready-made model to a CSV or Parquet file by maximum likelihood, and print the table of estimates.
An intercept is added and called 'intercept', unless another parameter of the model has its place, as the cutpoints of
ordered categories have. Computed in float64."""

EPILOG = """\
exit status:
  0  the maximum was found and certified
  1  the fit ended without a certificate: the table is printed all the same, the reason on stderr
  2  the usage or the data are bad: one line on stderr says what to do

example:
  mle-jax fit linear_gaussian households.csv --response food --features income,size --json fit.json

'mle-jax models' lists the models. Needs the extra 'data': pip install 'mle-jax[data]'; --plot the extra 'plot'."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fit",
        help="fit a ready-made model to a CSV or Parquet file",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", metavar="MODEL", type=_model_name, help="name of a ready-made model, such as linear_gaussian"
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, help="CSV (first line: names of the columns) or Parquet file"
    )
    _add_columns(parser.add_argument_group("columns"))
    _add_settings(parser.add_argument_group("settings"))
    _add_outputs(parser.add_argument_group("outputs"))
    parser.set_defaults(run=_run)


def _add_columns(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--response", required=True, metavar="NAME", help="the column to be explained")
    add(
        "--features",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="the columns that explain it; may be repeated (for names with commas, once per name)",
    )
    add("--no-intercept", dest="intercept", action="store_false", help="add no column of ones before the features")
    add("--weights", metavar="NAME", help="column of frequencies: a row of weight 2 stands for two equal rows")
    add(
        "--leaf",
        action="append",
        default=[],
        type=pair,
        metavar="DATA=NAME",
        help="column for further data of a model; of a matrix several, DATA=NAME,NAME, after an intercept",
    )
    add("--separator", type=separator, metavar="CHAR", help="between the columns of a CSV file (default: found out)")
    add(
        "--missing",
        choices=("raise", "drop"),
        default="raise",
        help="what to do about missing values (empty cells, NA): stop, or leave the row out (default: raise)",
    )


def _add_settings(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--option", action="append", default=[], type=_option, metavar="NAME=VALUE", help="option of the model")
    add("--level", type=_level, default=0.95, help="level of the confidence intervals (default: 0.95)")


def _add_outputs(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--plot", type=Path, metavar="FILE", help="draw data, fit and residuals into a .png, .pdf or .svg file")
    add("--json", type=Path, metavar="FILE", help="write estimates, covariance and status as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from mle_jax.cli import outputs, pictures

    try:
        model, choice, selection = _prepare(arguments)
        fit = _fit_quietly(model, selection)
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        return refuse("fit", error)

    def write_json(path: Path) -> None:
        request = _request(arguments, model, choice, selection)
        outputs.write_json(path, outputs.document(fit, request, arguments.level))

    def draw(path: Path) -> None:
        pictures.draw(path, fit, model, choice=choice, selection=selection)

    written = (("--json", arguments.json, write_json), ("--plot", arguments.plot, draw))
    faults = [fault(option, path, write) for option, path, write in written if path is not None]
    print(_described(arguments.data, choice, selection), end="\n\n")
    print(fit.summary(arguments.level))
    if not fit.converged:
        hint = _on_intercept(fit, choice)
        print(f"mle-jax fit: not certified: {fit.status.name}. {one_line(fit.message)}{hint}", file=sys.stderr)
    statuses = [refuse("fit", wrong) for wrong in faults if wrong is not None]
    return 2 if statuses else 0 if fit.converged else 1


def _prepare(arguments: argparse.Namespace) -> "tuple[Model, Choice, Selection]":
    """Check everything that can be checked before a fit: cheap things first, the values in the file last."""
    from mle_jax.cli import choosing, columns, leaves, outputs, pictures, ready_made
    from mle_jax.data.files import read_file

    model = ready_made.build_model(arguments.model, dict(arguments.option))
    outputs.check_outputs({"--json": arguments.json, "--plot": arguments.plot}, arguments.data)
    file = read_file(arguments.data, separator=arguments.separator)
    further = tuple(dict(arguments.leaf))
    read, matrices = leaves.leaves_read(model, further), leaves.matrices_of(model, further)
    choice = choosing.choose(
        model.label,
        read,
        response=arguments.response,
        features=choosing.split_features(arguments.features, file.names),
        intercept=arguments.intercept,
        leaves=choosing.split_leaves(arguments.leaf, file.names, read=read, matrices=matrices),
        weights=arguments.weights,
        level=leaves.level_of(model, further),
    )
    if arguments.plot is not None:
        pictures.check_picture(arguments.plot, model, choice)
    return model, choice, columns.select(file, choice, drop_missing=arguments.missing == "drop")


def _fit_quietly(model: "Model", selection: "Selection") -> "Fit":
    """Fit without the warning about a missing certificate, which the command says in its own way."""
    import mle_jax as mle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return mle.fit(model, selection.table, columns=selection.columns, weights=selection.weights)


def _on_intercept(fit: "Fit", choice: "Choice") -> str:
    """Say what to do where the column of ones that the command added is not identified beside other columns."""
    from mle_jax import Status
    from mle_jax.cli.choosing import INTERCEPT
    from mle_jax.results.reports import flat_numbers

    sure = dict(zip(fit.names, flat_numbers(fit, fit.reliable), strict=True))
    unsure = [name for name, holds in sure.items() if name.endswith(f"[{INTERCEPT}]") and not holds]
    if fit.status is not Status.not_identified or not choice.adds_ones or not unsure:
        return ""
    return " The command added the intercept; pass --no-intercept if the other columns need none."


def _described(path: Path, choice: "Choice", selection: "Selection") -> str:
    rows = plural(selection.n_read, "row")
    if selection.n_dropped:
        rows += f", {selection.n_dropped} of them left out for missing values"
    parts = [f"Data: {path.name}, {rows}", f"response {choice.response}"]
    parts += [f"features {', '.join(choice.x_names)}"] * bool(choice.x_names)
    further = ((leaf, names) for leaf, names in choice.columns.items() if leaf in choice.leaves)
    parts += [f"{leaf} {names if isinstance(names, str) else ', '.join(names)}" for leaf, names in further]
    parts += [f"frequency weights {choice.weights}"] * (choice.weights is not None)
    return textwrap.fill("; ".join(parts), 100, subsequent_indent="  ")


def _request(arguments: argparse.Namespace, model: "Model", choice: "Choice", selection: "Selection") -> dict[str, Any]:
    return {
        "model": arguments.model,
        "options": dict(arguments.option),
        "data": str(arguments.data),
        "response": choice.response,
        "features": list(choice.features or ()),
        "intercept": choice.intercept,
        "leaves": {leaf: n if isinstance(n, str) else list(n) for leaf, n in choice.leaves.items()},
        "weights": choice.weights,
        "n_rows": selection.n_read,
        "n_dropped": selection.n_dropped,
    }


def _model_name(word: str) -> str:
    return word.replace("-", "_")


def _option(word: str) -> tuple[str, Any]:
    """Read a number, a tuple or a truth value as Python writes it; anything else stays a text."""
    name, text = pair(word)
    try:
        return name, ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two for what is nested without end
        return name, text


def _level(word: str) -> float:
    try:
        level = float(word)
    except ValueError:
        level = 0.0
    if not 0.0 < level < 1.0:
        raise argparse.ArgumentTypeError(f"{word!r} must lie between 0 and 1, such as 0.95")
    return level
