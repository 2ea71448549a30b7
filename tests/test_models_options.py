"""Options of the ready-made models: equal ones give the same object, wrong ones say what to do."""

import numpy as np
import pytest

from mle_jax import models

SAME = [
    (models.quantile_regression, [{}, {"quantile": 0.5}, {"quantile": np.float64(0.5)}]),
    (models.tobit_regression, [{}, {"lower": 0}, {"lower": np.float32(0.0), "upper": None}]),
    (models.truncated_gaussian_regression, [{"upper": 2}, {"lower": 0.0, "upper": 2.0}]),
    (models.ordered_logit, [{"levels": 3}, {"levels": np.int64(3)}]),
    (models.ordered_probit, [{"levels": 3}, {"levels": np.int64(3)}]),
    (models.multinomial_logit, [{"levels": 3}, {"levels": np.int64(3)}]),
    (models.gaussian_mixture, [{}, {"components": 2}]),
]
WRONG = [
    (models.quantile_regression, {"quantile": 1.0}, ValueError, "quantile=1.0, but it must be a number strictly betwe"),
    (models.quantile_regression, {"quantile": np.nan}, ValueError, "quantile=nan, but.*; pass quantile=0.5 for the me"),
    (models.quantile_regression, {"quantile": "median"}, TypeError, "quantile='median', but it must be"),
    (models.tobit_regression, {"lower": None}, ValueError, "lower=None and upper=None, but it needs a limit; pass lo"),
    (models.tobit_regression, {"upper": 0.0}, ValueError, "lower=0.0 and upper=0.0, but lower must be below upper; "),
    (models.tobit_regression, {"upper": np.inf}, ValueError, "upper=inf, but it must be a finite number or None; pass"),
    (models.truncated_gaussian_regression, {"lower": [0.0]}, TypeError, "lower=.0.0., but it must be a finite number"),
    (
        models.truncated_gaussian_regression,
        {"lower": 1j},
        TypeError,
        "lower=1j, but it must be a finite number or None",
    ),
    (models.ordered_logit, {"levels": 1}, ValueError, "levels=1, but it must be a whole number, 2 or more; pass the"),
    (models.ordered_probit, {"levels": 3.0}, TypeError, "levels=3.0, but it must be a whole number"),
    (models.multinomial_logit, {"levels": True}, TypeError, "levels=True, but it must be a whole number"),
    (models.gaussian_mixture, {"components": 1}, ValueError, r"components=1, but.*or take models.gaussian\(\) for one"),
]


@pytest.mark.parametrize(("constructor", "options"), SAME)
def test_equal_options_give_the_same_object(constructor, options):
    assert len({id(constructor(**option)) for option in options}) == 1


@pytest.mark.parametrize(("constructor", "options", "error", "told"), WRONG)
def test_wrong_options_say_what_to_do(constructor, options, error, told):
    with pytest.raises(error, match=f"{constructor.__name__} was given {told}"):
        constructor(**options)
