"""NIST's nonlinear regressions as Gaussian likelihoods; ``python -m tests.nist_nonlinear [problem ...]`` tabulates.

From the root of the checkout. All 27 problems from both of NIST's starts, through `fit` with its defaults: the mean is
NIST's formula, the standard deviation starts at the root mean square of the residuals at the given start, nothing is
tuned to a problem. Digits are log relative errors, -log10(|found - c| / |c|), at the worst number: of the certified
estimates, and of the certified standard errors, which NIST computes from the expected information with the residual
variance of divisor n - p.
"""

import argparse
import functools
import json
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import mle_jax as mle

DATA = Path(__file__).parent / "data" / "nist" / "nonlinear"
PROBLEMS = tuple(sorted(path.stem for path in DATA.glob("*.json")))
STARTS = ("start1", "start2")
WORDS = {"exp": jnp.exp, "cos": jnp.cos, "sin": jnp.sin, "arctan": jnp.arctan, "pi": np.pi}
"""What NIST's formulas are written in, besides arithmetic."""


@functools.cache
def content(name):
    """Return the file of a problem."""
    return json.loads((DATA / f"{name}.json").read_text())


def dataset(name):
    """Return the columns of a problem, the response as y."""
    columns = {key: np.array(values) for key, values in content(name)["columns"].items()}
    return {**columns, "y": np.log(columns["y"])} if content(name)["response"] == "log(y)" else columns


def mean_of(name):
    """Return NIST's formula as a function of the parameters and a row."""
    code = compile(content(name)["formula"], name, "eval")
    return lambda params, row: eval(code, {"__builtins__": {}}, {**WORDS, **row, **params})


@functools.cache
def model(name):
    """Return the Gaussian likelihood of a problem, with the expected information that its certified errors are of."""
    mean, names = mean_of(name), tuple(content(name)["estimates"])

    def log_density(params, row):
        return mle.densities.normal.log_density(row["y"], mean(params, row), params["sigma"])

    def expected_information(params, data):
        # Flat order is that of the declaration: b1, b2, ..., sigma.
        slopes = jax.vmap(jax.grad(mean), in_axes=(None, 0))(params, data)
        rows = jnp.stack([slopes[b] for b in names], axis=1) / params["sigma"]
        return jax.scipy.linalg.block_diag(rows.T @ rows, 2 * rows.shape[0] / params["sigma"] ** 2)

    declared = {**dict.fromkeys(names, mle.Real()), "sigma": mle.Positive()}
    return mle.Model(log_density, declared, name=name, expected_information=expected_information)


def start(name, which):
    """Return one of NIST's starts with the standard deviation that belongs to it."""
    data, given = dataset(name), content(name)[which]
    with jax.enable_x64(True):
        residuals = data["y"] - np.asarray(mean_of(name)(given, {key: jnp.asarray(v) for key, v in data.items()}))
    return {**given, "sigma": float(np.sqrt(np.mean(residuals**2)))}


def run(name, which, **options):
    """Fit a problem from one of NIST's starts, silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return mle.fit(model(name), dataset(name), start=start(name, which), **options)


def digits(found, certified):
    """Return the correct digits of the worst number, at most 16."""
    errors = [abs(found[key] - value) / abs(value) for key, value in certified.items()]
    return min(-np.log10(max(error, 1e-16)) for error in errors) if np.all(np.isfinite(errors)) else float("-inf")


def estimate_digits(name, fit):
    """Return the digits of the estimates."""
    return digits(fit.params, content(name)["estimates"])


def error_digits(name, fit):
    """Return the digits of the standard errors, brought to NIST's divisor."""
    n, estimates = len(dataset(name)["y"]), content(name)["estimates"]
    errors = fit.standard_errors(kind="expected")
    found = {key: float(errors[key]) * np.sqrt(n / (n - len(estimates))) for key in estimates}
    return digits(found, content(name)["standard_errors"])


def main():
    parser = argparse.ArgumentParser(description="Tabulate the digits of NIST's nonlinear regressions.")
    parser.add_argument("problems", nargs="*", help="names, such as mgh10; all without")
    wanted = parser.parse_args().problems or PROBLEMS
    counts = {"right": 0, "wrong and converged": 0}
    print(f"{'problem':10s} start  {'status':22s} {'estimates':>9s} {'errors':>7s} {'steps':>6s} {'decrement':>10s}")
    for name in wanted:
        for which in STARTS:
            begun = time.perf_counter()
            fit = run(name, which)
            found = estimate_digits(name, fit)
            errors = error_digits(name, fit) if fit.converged else float("nan")
            counts["right"] += fit.converged and found >= 6
            counts["wrong and converged"] += fit.converged and found < 4
            print(
                f"{name:10s} {which[-1]:>5s}  {fit.status.name:22s} {found:9.1f} {errors:7.1f} {fit.steps:6d} "
                f"{fit.decrement:10.1e} {time.perf_counter() - begun:6.1f} s",
                flush=True,
            )
    print(f"of {2 * len(wanted)} runs: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


if __name__ == "__main__":
    main()
