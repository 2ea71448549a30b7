"""Problems that break others: what is right, and why; ``python -m tests.pathological_problems [name ...]`` tabulates.

From the root of the checkout. Right is an estimate that a closed form, NumPy or a published case gives, or the status
that names what is wrong, with the words that the message must contain. The table shows beside it what we say and what
statsmodels and scipy.optimize say where they are installed (see `pathological_peers`), and what R says where somebody
recorded it.
"""

import argparse
import functools
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import mle_jax as mle
from mle_jax import Status, models
from tests.models_digits import Case, content, dataset
from tests.pathological_models import COINS, COUNTS, GROUP, MODELS, TWO, XG, N, X, newton

MAXIMUM = (Status.converged, Status.converged_to_rounding)
RISING = (Status.rising,)
NO_MAXIMUM = (Status.rising, Status.not_identified)
UNKNOWN = (Status.not_identified,)
COLLAPSE = (Status.scale_collapsed,)
BOUNDARY = (Status.at_boundary,)
UNPROVED = (Status.rising, Status.precision_lost)


class Problem(NamedTuple):
    """A problem and what is right.

    Attributes:
        model: a model, or the name of one in `MODELS`.
        data: the dataset.
        right: the statuses that are right.
        why: the reason, in a few words.
        says: what the message contains.
        estimates: by flat name, or by what `number` in the test reads: ``a + b``, ``a * b``, ``|a|``.
        rtol: of the estimates.
        start: of the search.
        peer: how statsmodels is called, a name in `pathological_peers`.
        r: what R says, as recorded in the notes to the reference cases.
    """

    model: Any
    data: Mapping[str, Any]
    right: tuple[Status, ...]
    why: str
    says: tuple[str, ...] = ()
    estimates: Mapping[str, float] = {}
    rtol: float = 1e-7
    start: Any = None
    peer: str = ""
    r: str = ""


def _counts(y: Any, x: Any = X, offset: Any = 0.0) -> dict[str, Any]:
    return {"x": x, "y": np.asarray(y, float), "offset": np.full(len(x), float(offset))}


def _named(values: Any, name: str = "w") -> dict[str, float]:
    return {f"{name}[{i}]": float(value) for i, value in enumerate(values)}


def _case(name: str, make: Any, names: Mapping[str, str], right: tuple[Status, ...], why: str, **more: Any) -> Problem:
    told = content(name)
    estimates = {ours: told["estimates"][theirs] for theirs, ours in names.items()}
    data = dataset(name, Case(make))
    return Problem(make(), data, right, why, estimates=estimates, rtol=1e-4 if estimates else 0.0, **more)


SIX = "Rows 0, 1, 2, 3, 4 and 1 more (counted from 0) are separated"
ALL = f"All {N} rows are separated"
SEPARATED = (X[:, 1] > 0.3) * 1.0
QUASI = np.where(GROUP, 1.0, COINS)
ZEROS = np.where(GROUP, 0.0, COUNTS)
REST = ~GROUP
LOGIT_REST = _named(newton(X[REST, :2], COINS[REST], family="logit"))
POISSON_REST = _named(newton(X[REST, :2], COUNTS[REST], family="poisson"))
POISSON_ALL = newton(X, COUNTS, family="poisson")
THREE = np.repeat(np.eye(3), [10, 10, 20], axis=0)
SHARES = np.repeat([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [9, 1, 1, 9, 1, 19])
TIMES = np.linspace(1.0, 3.0, N)
IDENTITY = functools.partial(models.poisson_regression, "identity")
CRABS = {"eta:const": "w[0]", "eta:width_shifted": "w[1]", "eta:dark": "w[2]", "eta:goodspine": "w[3]"}
NEAR = np.column_stack([X[:, :2], X[:, 1] + 1e-9 * X[:, 2]])
GREAT = 1e12 * np.exp(X @ [0.5, 0.3, -0.3])
FAR = 1e9 + TWO


def _equal_mean() -> float:
    """Solve m = mean(y tanh(m y)): the score of two symmetric components with means -m and m."""
    m = 2.0
    for _ in range(500):
        m = float(np.mean(TWO * np.tanh(m * TWO)))
    return m


def _one_event(t: np.ndarray, event: int) -> dict[str, float]:
    """Solve the Weibull score with one event by bisection: 1/k + log t_e = sum t^k log t / sum t^k."""
    low, high = 1e-3, 50.0
    for _ in range(200):
        k = (low + high) / 2
        slope = 1 / k + np.log(t[event]) - np.sum(t**k * np.log(t)) / np.sum(t**k)
        low, high = (k, high) if slope > 0 else (low, k)
    return {"k": k, "scale": float(np.sum(t**k)) ** (1 / k)}


PROBLEMS: dict[str, Problem] = {
    # Binary responses
    "logit, complete separation": Problem(
        models.logistic_regression(), {"x": X, "y": SEPARATED}, RISING, "a plane parts the responses", (ALL,),
        peer="logit",
        r="converged=FALSE + 2 warnings, coefficients +-50 (sep_logit_iris_complete)",
    ),
    "the same, own density": Problem("logit", {"x": X, "y": SEPARATED}, RISING, "as above", (ALL,), peer="logit"),
    "the same, density by the book": Problem(
        "logit_by_the_book", {"x": X, "y": SEPARATED}, UNPROVED,
        "as above, but the density is NaN from a predictor of 37",
        ("just ahead it is not finite in row", "+w[1]"), peer="logit",
    ),
    "logit, quasi-separation": Problem(
        "logit", {"x": XG, "y": QUASI}, RISING, "all of a group are 1; the rest as without it", ("+w[2]", SIX),
        LOGIT_REST,
        1e-6, peer="logit", r="silent: NV = 18.2, SE 1716 (endometrial)",
    ),
    "probit, complete separation": Problem(
        "probit", {"x": X, "y": SEPARATED}, RISING, "as logit", (ALL,), peer="probit",
    ),
    "probit, quasi-separation": Problem(
        "probit", {"x": XG, "y": QUASI}, RISING, "as logit", ("+w[2]", SIX), peer="probit",
    ),
    "logit, all ones": Problem(
        "logit", {"x": X, "y": np.ones(N)}, RISING, "certain at infinity", (ALL,), peer="logit", r="silent, +24",
    ),
    "logit, Hauck and Donner": Problem(
        "logit", {"x": THREE, "y": SHARES}, MAXIMUM, "large but finite: log odds of 1/10, 9/10, 19/20",
        estimates=_named(np.log([1 / 9, 9.0, 19.0])), peer="logit",
    ),
    # Counts
    "Poisson, all zero": Problem(
        "poisson", _counts(np.zeros(N)), RISING, "certain at infinity", ("-w[0]", ALL), peer="poisson",
        r="silent, -24"
    ),
    "Poisson, separated zeros": Problem(
        "poisson", _counts(ZEROS, XG), RISING, "all of a group are 0; the rest as without it", ("-w[2]", SIX),
        POISSON_REST,
        1e-6, peer="poisson", r="converged=TRUE in 16 of 17 such cases, 10 silent (sep_poisson)",
    ),
    "Poisson, columns x 1, 1e8, 1e-8": Problem(
        "poisson", _counts(COUNTS, X * [1.0, 1e8, 1e-8]), MAXIMUM, "the same maximum in other units",
        estimates=_named(POISSON_ALL / [1.0, 1e8, 1e-8]), peer="poisson", r="exact (1e-15)",
    ),
    "Poisson, collinear columns": Problem(
        "poisson", _counts(COUNTS, np.column_stack([X[:, :2], 2 * X[:, 1]])), UNKNOWN, "x2 = 2 x1", ("w[1]", "w[2]"),
        _named(newton(X[:, :2], COUNTS, family="poisson")[:1]), peer="poisson", r="NA for the aliased one",
    ),
    "Poisson, columns equal to 1e-9": Problem(
        "poisson", _counts(COUNTS, NEAR), MAXIMUM, "their difference is known to 7 digits",
        # w[1] x1 + w[2] (x1 + 1e-9 x2): the rounding of x1 + 1e-9 x2 leaves 7 digits of 1e-9 x2.
        estimates={"w[0]": float(POISSON_ALL[0]), "w[2]": float(POISSON_ALL[2]) * 1e9}, rtol=1e-5, peer="poisson",
        r="+-6e8, did not converge",
    ),
    # Its standard errors are 1.2e-7, and rounding leaves a hundredth of them.
    "Poisson, counts near 1e12": Problem(
        "poisson", _counts(np.round(GREAT)), MAXIMUM, "an ordinary maximum far from 0",
        estimates=_named([np.log(1e12) + 0.5, 0.3, -0.3]), rtol=1e-8, peer="poisson",
    ),
    "Poisson, offset 800": Problem(
        "poisson", _counts(COUNTS, X, 800.0), MAXIMUM, "the default start overflows; the maximum is the shifted one",
        estimates=_named(POISSON_ALL - [800.0, 0.0, 0.0]), rtol=1e-9, peer="poisson", r="right",
    ),
    "Poisson, one row": Problem(
        "poisson", _counts([2.0], X[:1, :1]), MAXIMUM, "log(2)", estimates={"w[0]": float(np.log(2.0))},
        peer="poisson"
    ),
    "Poisson, 2 rows and 3 parameters": Problem(
        "poisson", _counts([1.0, 2.0], X[:2]), UNKNOWN, "a line of maxima", ("w[0]",), peer="poisson", r="NA for one"
    ),
    "Poisson, a negative count": Problem(
        models.poisson_regression(), {"x": X, "y": np.where(np.arange(N) == 3, -1.0, COUNTS)}, (Status.non_finite,),
        "outside the support", ("-inf in row 3 (counted",), peer="poisson", r="an error",
    ),
    "NB2, underdispersed (queues)": _case(
        "boundary_nb2_womenqueue", models.negative_binomial_regression, {"eta:const": "w[0]"}, BOUNDARY,
        "dispersion 0, which is Poisson", says=("'dispersion'",), peer="nb2",
        r="theta = 134692, SE 2e6, iteration limit, converged=TRUE",
    ),
    "NB2 by the book, underdispersed": Problem(
        "negative_binomial", {"x": X, "y": np.arange(N) % 3 + 2.0}, UNPROVED,
        "as above, but the density loses its digits",
        ("alpha",), peer="nb2",
    ),
    "NB2, all zero": Problem(
        models.negative_binomial_regression(), {"x": X, "y": np.zeros(N)}, RISING, "certain at infinity", ("-w[0]",),
        peer="nb2", r="an error: missing value where TRUE/FALSE needed",
    ),
    "NB2, all zero, intercept alone": Problem(
        models.negative_binomial_regression(), {"x": X[:, :1], "y": np.zeros(N)}, RISING,
        "certain at infinity, where no derivative is left", ("-w[0]",),
    ),
    "zero-inflated Poisson without zeros": Problem(
        models.zero_inflated_poisson_regression(), {"x": X, "z": X[:, :1], "y": COUNTS + 1}, RISING,
        "no share of extra zeros is too small", ("-inflation[0]",), peer="zip", r="silent: -11.9, SE 82 (womenqueue)",
    ),
    "crabs, identity link": _case(
        "glm2_crabs_identity_boundary", IDENTITY, CRABS, BOUNDARY, "the mean of row 13 is 0",
        says=("row 13 (counted from 0)", "'w[0]', 'w[2]' and 'w[3]'"), peer="poisson_identity",
        r="boundary=TRUE + a warning, right",
    ),
    "crabs, glm2's cycling example": _case(
        "glm2_crabs_rep1_periodic", IDENTITY, CRABS, MAXIMUM, "published", peer="poisson_identity", r="not converged"
    ),
    "heart, log binomial, glm2's diverging example": _case(
        "glm2_heart_logbinomial", functools.partial(models.binomial_regression, "log"), {}, MAXIMUM,
        "published (test_models_cases)", r="not converged",
    ),
    # Categories
    "ordered logit, separated": Problem(
        models.ordered_logit(3), {"x": X[:, 1:], "y": np.digitize(X[:, 1], [-0.5, 0.5])}, RISING,
        "planes part the levels",
        (ALL, "+w[0]"), peer="ordered",
    ),
    "ordered logit, a level that is empty": Problem(
        models.ordered_logit(4), {"x": X[:, 1:], "y": np.arange(N) % 3}, RISING, "nobody above the last cutpoint",
        ("+cutpoints", "Rows 2, 5, 8, 11, 14 and 8 more"), peer="ordered", r="collapsed cutpoints, silent (polr)",
    ),
    "multinomial logit, separated": Problem(
        models.multinomial_logit(3), {"x": X, "y": np.digitize(X[:, 1], [-0.5, 0.5])}, RISING, "as ordered", (ALL,),
        peer="multinomial", r="silent (nnet, sep_multinomial_iris)",
    ),
    # Scales
    "Gaussian, constant response": Problem(
        "gaussian", {"x": X, "y": np.full(N, 3.0)}, COLLAPSE, "a perfect fit", ("'sd'",), {"w[0]": 3.0}, 1e-9,
        peer="gaussian", r="essentially perfect fit: summary may be unreliable",
    ),
    "Gaussian, one row": Problem(
        "gaussian", {"x": X[:1], "y": [2.0]}, COLLAPSE, "a perfect fit", ("'sd'",), peer="gaussian",
    ),
    "Gaussian, response near 1e9": Problem(
        "gaussian", {"x": X[:, :1], "y": FAR}, MAXIMUM, "mean and standard deviation", rtol=1e-9, peer="gaussian",
        estimates={"w[0]": float(FAR.mean()), "sd": float(np.sqrt(np.mean((FAR - FAR.mean()) ** 2)))}, r="8.3 digits",
    ),
    "gamma, constant response": Problem(
        models.gamma_regression(), {"x": X, "y": np.full(N, 2.0)}, COLLAPSE, "shape to infinity", ("'shape'",),
        peer="gamma"
    ),
    "mixture, start at a spike": Problem(
        "mixture", {"y": TWO}, COLLAPSE, "one component on one point: no bound", ("'s1'",), peer="",
        start={"m1": TWO[0], "s1": 1e-3, "m2": 0.0, "s2": 2.0},
    ),
    "mixture, symmetric start": Problem(
        "equal_mixture", {"y": TWO}, MAXIMUM, "0, 0 is a saddle; m = mean(y tanh(m y))",
        estimates={"m1 + m2": 0.0, "|m1|": _equal_mean()}, rtol=1e-6,
    ),
    "Student t, light tails, by the book": Problem(
        "student_t", {"y": TWO}, UNPROVED, "Gaussian or lighter: nu to infinity, where the density loses its digits",
        ("nu",), r="optimization failed (fitdistr)",
    ),
    "Student t, light tails": Problem(
        models.student_t_regression(), {"x": X, "y": TWO}, RISING, "nu to infinity", ("+df",), r="optimization failed"
    ),
    # Survival
    "Weibull, 39 of 40 censored": Problem(
        "weibull", {"t": TIMES, "d": (np.arange(N) == 5) * 1.0}, MAXIMUM, "score equation in k", rtol=1e-8,
        estimates=_one_event(TIMES, 5), r="both silent",
    ),
    "Weibull, no event": Problem(
        "weibull", {"t": TIMES, "d": np.zeros(N)}, RISING, "certain at infinity", (ALL,), r="NA",
    ),
    "Weibull, only the last time an event": Problem(
        "weibull", {"t": TIMES, "d": (np.arange(N) == N - 1) * 1.0}, (*COLLAPSE, *RISING),
        "k to infinity: no bound", ("k",)
    ),
    "tobit, all censored": Problem(
        models.tobit_regression(), {"x": X, "y": np.zeros(N)}, NO_MAXIMUM, "certain at infinity"
    ),
    # Identification, saddles, starts, edges
    "a + b": Problem("sum", {"y": TWO + 3}, UNKNOWN, "only the sum", ("+a -b",), {"a + b": float(np.mean(TWO + 3))}),
    "a b, from 0": Problem(
        "product", {"y": TWO + 3}, UNKNOWN, "only the product; the start is a saddle", ("+a -b",),
        {"a * b": float(np.mean(TWO + 3))}, 1e-6,
    ),
    "(a b)^2, from 0": Problem(
        "squares", {"y": [1.0, 4.0]}, UNKNOWN, "only the product; all derivatives vanish", ("a", "b"),
        {"|a * b|": float(np.sqrt(2.5))}, 1e-6,
    ),
    "a^3 b, from 0": Problem(
        "flat_saddle", {"y": [1.0, 4.0]}, MAXIMUM, "a = b, a^4 = 5/2; the start is a flat saddle",
        estimates={"a - b": 0.0}, rtol=1e-6,
    ),
    "Cauchy, two modes, from the minimum between": Problem(
        "cauchy", {"y": [-5.0, 5.0]}, MAXIMUM, "-+ sqrt(24)", estimates={"|m|": float(np.sqrt(24.0))}
    ),
    "start at a NaN": Problem(
        "exponential_beyond_1", {"y": [1.0, 2.0, 3.0, 4.0]}, MAXIMUM, "1 + 1 / mean", estimates={"rate": 1.4}
    ),
    "variance at its end 0": Problem(
        "variance", {"y": [0.1, -0.3, 0.5, 0.2]}, BOUNDARY, "less spread than the known variance", ("'tau2'",),
        {"mu": 0.125}
    ),
    "uniform on 0 to an end": Problem(
        "uniform", {"y": [1.0, 2.0, 3.0, 4.0]}, BOUNDARY, "the largest value", ("row 3 (counted", "'end'"),
        {"end": 4.0}, 1e-9
    ),
    "shifted exponential": Problem(
        "shifted_exponential", {"y": np.arange(1.0, 7.0)}, BOUNDARY, "the smallest value; 1 / (mean - it)",
        ("row 0 (counted", "'m'"), {"m": 1.0, "rate": 0.4}, 1e-9,
    ),
}  # fmt: skip


def model_of(problem: Problem) -> mle.Model:
    """Return the model of a problem."""
    return MODELS[problem.model] if isinstance(problem.model, str) else problem.model


def fitted(problem: Problem) -> mle.Fit:
    """Fit a problem, warnings aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return mle.fit(model_of(problem), problem.data, start=problem.start)


def main() -> None:
    from tests.pathological_peers import show

    parser = argparse.ArgumentParser(description="Tabulate problems that break others: what is right, and who says so.")
    parser.add_argument("names", nargs="*", help="parts of names; all by default")
    names = parser.parse_args().names
    for name, problem in PROBLEMS.items():
        if not names or any(part in name for part in names):
            show(name, problem, model_of(problem), fitted(problem))


if __name__ == "__main__":
    main()
