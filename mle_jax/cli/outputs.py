"""What the commands write: JSON documents of a fit and of a gradient check."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax.results.reports import flat_numbers

if TYPE_CHECKING:
    from mle_jax.gradients import GradientReport
    from mle_jax.results import Fit

SCHEMA = 1
"""Raised by one when a key is renamed, removed or changes its meaning; new keys may come at any time."""


def check_outputs(paths: Mapping[str, Path | None], data: Path) -> None:
    """Raise where a file cannot be written, before anything is computed.

    Args:
        paths: option to path.
        data: the file that is read, which is not to be overwritten.

    Raises:
        OSError: a folder is missing, or a path is a folder or not writable.
        ValueError: a path is that of the data, or given twice.
    """
    taken = {data.resolve(): "the data"}
    for option, path in paths.items():
        if path is None:
            continue
        folder = path.parent
        if path.is_dir():
            raise IsADirectoryError(f"{option} names '{path}', which is a folder; name a file")
        if not folder.is_dir():
            raise FileNotFoundError(f"{option} names '{path}', but there is no folder '{folder}'; make it first")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise PermissionError(f"{option} names '{path}', which cannot be written; name another file")
        if path.resolve() in taken:
            raise ValueError(f"{option} names '{path}', which is for {taken[path.resolve()]}; name another file")
        taken[path.resolve()] = option


def document(fit: "Fit", request: dict[str, Any], level: float) -> dict[str, Any]:
    """Return a fit as plain lists, texts and numbers, ready for JSON.

    Numbers are written to full precision; what is not finite becomes null. Keys:

    - ``schema``: 1; ``versions``: of ``mle_jax`` and ``jax``
    - ``request``: what was asked for: ``model``, ``options``, ``data`` (file), ``response``, ``features``,
      ``intercept``, ``leaves`` (a column, or a list of them where the model reads a matrix), ``weights`` (column or
      null), ``n_rows`` (of the file), ``n_dropped`` (for missing values), ``level`` (of the intervals)
    - ``status``, ``message``, ``converged``, ``reliable`` (all of it), ``decrement``, ``steps``
    - ``log_likelihood``, ``aic``, ``bic``, ``n_observations``, ``n_parameters``
    - ``parameters``: in the order of the tables, each with ``name``, ``estimate``, ``std_error``, ``statistic``,
      ``p_value``, ``conf_low``, ``conf_high``, ``reliable``
    - ``covariance``: ``kind``, and ``matrix`` with rows and columns in that order

    Args:
        fit: a single fit.
        request: what was asked for, already plain.
        level: of the intervals.
    """
    import jax

    import mle_jax

    sure = [bool(entry) for entry in flat_numbers(fit, fit.reliable)]
    parameters = [
        {"name": row.pop("term"), **row, "reliable": reliable}
        for row, reliable in zip(fit.tidy(level), sure, strict=True)
    ]
    whole = {
        "schema": SCHEMA,
        "versions": {"mle_jax": mle_jax.__version__, "jax": jax.__version__},
        "request": {**request, "level": level},
        "status": fit.status.name,
        "message": fit.message,
        "converged": bool(fit.converged),
        "reliable": all(sure),
        "decrement": fit.decrement,
        "steps": fit.steps,
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "bic": fit.bic,
        "n_observations": fit.n_observations,
        "n_parameters": fit.n_parameters,
        "parameters": parameters,
        "covariance": {"kind": fit.covariance_kind, "matrix": fit.covariance()},
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def gradient_document(report: "GradientReport", request: dict[str, Any]) -> dict[str, Any]:
    """Return a gradient check as plain lists, texts and numbers, ready for JSON.

    Numbers are written to full precision; what is not finite becomes null. Keys:

    - ``schema``: 1; ``versions``: of ``mle_jax`` and ``jax``
    - ``request``: what was asked for: ``model``, ``data`` (file), ``leaves`` (names of columns by leaf), ``n_dropped``,
      ``params`` (as given), ``seed``
    - ``passed``, ``diagnosis``, ``handwritten`` (whether there was such a gradient), ``dtype``
    - ``rows``: one per coordinate, ``directions``: one per point, with the fields of `GradientRow` and `DirectionRow`
    - ``findings``: the slips that the diagnosis speaks of, with the fields of `Finding`

    Args:
        report: of the check.
        request: what was asked for, already plain.
    """
    import jax

    import mle_jax

    whole = {
        "schema": SCHEMA,
        "versions": {"mle_jax": mle_jax.__version__, "jax": jax.__version__},
        "request": request,
        "passed": report.passed,
        "diagnosis": report.diagnosis,
        "handwritten": report.handwritten,
        "dtype": report.dtype,
        "rows": [{**asdict(row), "verdict": str(row.verdict)} for row in report.rows],
        "directions": [{**asdict(row), "verdict": str(row.verdict)} for row in report.directions],
        "findings": [asdict(finding) for finding in report.findings],
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a document as JSON, in UTF-8."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Turn NumPy into Python, and what JSON cannot say (NaN, infinities) into null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
