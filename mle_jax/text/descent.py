"""T11: gradient descent with a fixed learning rate, w <- w - a grad R(w), in the chapter's two runs.

One line: x = 101 points evenly from -2 to 2, y = 0 + 2 x + noise of variance 1; start (1, 1), a = 0.05, 100 steps.
Several features: n = 100, an intercept and five Gaussian features, noise of standard deviation 0.5; start at zero,
a = 0.01, at most 10 000 steps, stop when R changes by less than 1e-6.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from mle_jax.optimizers import GradientDescent, stops
from mle_jax.optimizers.least_squares import solve_least_squares
from mle_jax.optimizers.minimizing import Minimum, minimize
from mle_jax.text.example import Demonstration, Example, answer
from mle_jax.text.likelihoods import Case, lines
from mle_jax.text.squared_error import mean_squared_error

LINE_RATE, LINE_STEPS = 0.05, 100
FEATURES_RATE, FEATURES_STEPS, FEATURES_CHANGE = 0.01, 10_000, 1e-6
AGREEMENT = 1e-12  # relative: 10 000 steps of float64 that contract, so rounding errors do not pile up


def line_data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the data of the chapter's first run: 101 points around the line y = 2 x.

    Args:
        seed: of the noise, standard normal.

    Returns:
        The design [1, x], shape (101, 2), and y, shape (101,).

    Example:
        >>> import mle_jax as mle
        >>> x, y = mle.text.line_data()
        >>> x.shape, x[0].tolist(), x[-1].tolist()
        ((101, 2), [1.0, -2.0], [1.0, 2.0])
    """
    x = np.linspace(-2.0, 2.0, 101)
    noise = np.random.default_rng(seed).standard_normal(x.size)
    return np.column_stack([np.ones_like(x), x]), 0.0 + 2.0 * x + noise


def features_data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the data of the chapter's second run: five Gaussian features, an intercept, and random true coefficients.

    Args:
        seed: of features, coefficients and noise (standard deviation 0.5).

    Returns:
        The design, shape (100, 6), intercept first, and y, shape (100,).

    Example:
        >>> import mle_jax as mle
        >>> x, y = mle.text.features_data()
        >>> x.shape, y.shape
        ((100, 6), (100,))
    """
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(100), rng.standard_normal((100, 5))])
    return x, x @ rng.standard_normal(6) + 0.5 * rng.standard_normal(100)


def descend_line(seed: int = 0, *, record: bool = False) -> Minimum:
    """Run the chapter's first gradient descent: the mean squared error of a line, 100 steps.

    Args:
        seed: of the noise in `line_data`.
        record: keep the path, for a plot over the contours.

    Returns:
        A `Minimum` with params ``{"w": (2,)}``: intercept and slope.

    Example:
        >>> import mle_jax as mle
        >>> run = mle.text.descend_line()
        >>> run.steps, run.status.name
        (100, 'max_steps')
    """
    return minimize(
        mean_squared_error,
        {"w": np.ones(2)},
        args=line_data(seed),
        optimizer=GradientDescent(LINE_RATE),
        max_steps=LINE_STEPS,
        record=record,
    )


def descend_features(seed: int = 0, *, record: bool = False) -> Minimum:
    """Run the chapter's second gradient descent: five features and an intercept, until R hardly changes.

    Args:
        seed: of the data in `features_data`.
        record: keep the history, for a plot of the loss curve.

    Returns:
        A `Minimum` with params ``{"w": (6,)}``: the intercept first.

    Example:
        >>> import mle_jax as mle
        >>> mle.text.descend_features().status.name  # a stopping rule is no certificate
        'stopped_by_rule'
    """
    return minimize(
        mean_squared_error,
        {"w": np.zeros(6)},
        args=features_data(seed),
        optimizer=GradientDescent(FEATURES_RATE),
        max_steps=FEATURES_STEPS,
        stop=stops.value_change(FEATURES_CHANGE),
        record=record,
    )


def plain_loop(
    w: np.ndarray, data: tuple[np.ndarray, np.ndarray], *, rate: float, steps: int, change: float = 0.0
) -> tuple[np.ndarray, int]:
    """Run the same descent in NumPy, as it stands in the chapter.

    Args:
        w: the start, (p,).
        data: design (n, p) and y (n,).
        rate: the learning rate a.
        steps: the most steps.
        change: stop when R changes by less; 0 takes all steps.

    Returns:
        The last w and the number of steps taken.
    """
    x, y = data
    value = np.mean((y - x @ w) ** 2)
    for step in range(1, steps + 1):
        w = w - rate * (2.0 / y.size) * (x.T @ (x @ w - y))
        before, value = value, np.mean((y - x @ w) ** 2)
        if abs(value - before) < change:
            return w, step
    return w, steps


def _same_as_the_plain_loop(seed: int) -> Demonstration:
    """Compare both runs with NumPy's: the discrepancy is the largest relative difference of the end points."""
    line, features = descend_line(seed), descend_features(seed)
    loops = (
        plain_loop(np.ones(2), line_data(seed), rate=LINE_RATE, steps=LINE_STEPS),
        plain_loop(np.zeros(6), features_data(seed), rate=FEATURES_RATE, steps=FEATURES_STEPS, change=FEATURES_CHANGE),
    )
    apart = [
        float(np.max(np.abs(run.params["w"] - w)) / np.max(np.abs(w))) if run.steps == steps else np.inf
        for run, (w, steps) in zip((line, features), loops, strict=True)
    ]
    return Demonstration(2, max(apart), AGREEMENT, f"ends with a NumPy loop, {line.steps} and {features.steps} steps")


def _cases(seed: int, count: int) -> Iterator[Case]:
    for params, (data,) in lines(seed, count):
        yield {"w": params["w"]}, (data["x"], data["y"])


T11 = Example(
    id="T11",
    title="A First Look: Gradient Descent for Maximum Likelihood Estimation",
    statement="w <- w - a grad R(w); one line from (1, 1) with a = 0.05 in 100 steps; six coefficients with a = 0.01 "
    "in at most 10 000 steps, until R changes by less than 1e-6",
    function=mean_squared_error,
    cases=_cases,
    terms=lambda params, x, y: (y - x @ params["w"]) ** 2 / jnp.shape(y)[0],
    closed_form=answer(lambda x, y: {"w": solve_least_squares(jnp.asarray(x), jnp.asarray(y))}),
    demonstrate=_same_as_the_plain_loop,
)
