"""What a check of many coordinates costs, counted in evaluations and calls, and that groups of them hide nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.gradients import evaluation
from mle_jax.likelihood import evaluation as likelihood

K, N = 512, 200
RNG = np.random.default_rng(4)
X = RNG.normal(size=(N, K)) / np.sqrt(K)
W = RNG.normal(size=K)
Y = RNG.poisson(np.exp(X @ W)).astype(float)
FACTORS = np.ones(K)


@jax.custom_jvp
def tampered(w, factors):  # itself, with a derivative that is off by the factors
    return w


tampered.defjvp(lambda primals, tangents: (primals[0], primals[1] * tangents[0]))


def poisson(w, x, y, factors):
    predictor = x @ tampered(w, jax.lax.stop_gradient(factors))
    return jnp.sum(y * predictor - jnp.exp(predictor))


def poisson_by_hand(w, x, y, factors):
    return factors * ((y - jnp.exp(x @ w)) @ x)


def log_density(p, row):
    predictor = row["x"] @ p["w"]
    return row["y"] * predictor - jnp.exp(predictor)


def score_by_hand(p, data):
    return {"w": (data["y"] - jnp.exp(data["x"] @ p["w"])) @ data["x"]}


MODEL = mle.Model(log_density, {"w": mle.Real(columns="x")}, gradient=score_by_hand)


@dataclasses.dataclass
class Count:
    """What a check has spent."""

    evaluations: int = 0
    calls: int = 0

    def of(self, gradient):
        def counted(*args):
            self.calls += 1
            return gradient(*args)

        return counted


@pytest.fixture
def spent(monkeypatch):
    count, sweep = Count(), evaluation._sweep_all

    def counted(probe, rows, entries):
        count.evaluations += len(entries[0])
        return sweep(probe, rows, entries)

    monkeypatch.setattr(evaluation, "_sweep_all", counted)
    return count


def by(factor, *places):
    factors = FACTORS.copy()
    factors[list(places)] = factor
    return factors


def bad(report):
    return {row.name: str(row.verdict) for row in report.rows if not row.verdict.passes}


def test_a_right_gradient_costs_less_than_one_evaluation_per_coordinate(spent):
    report = mle.check_gradient(poisson, spent.of(poisson_by_hand), W, X, Y, FACTORS)
    assert report.passed
    assert spent.calls == len(report.directions) == 3
    # 32 lines with 3 steps to either side; at each point 18 values for the noise there
    # and 1 + 18 for that at a distance, 6 along a direction, 10 for Taylor.
    assert spent.evaluations <= 32 * 6 + 3 * (18 + 19 + 6 + 10) + 10
    for row in report.rows:  # each has its own number, with six digits or so
        assert abs(row.numeric - row.autodiff) <= 1e-6 * abs(row.autodiff) + row.numeric_error
        assert row.numeric_error <= 1e-6 * abs(row.autodiff) + 1e-7


def test_a_model_calls_the_gradient_once_per_point(spent):
    model = dataclasses.replace(MODEL, gradient=spent.of(score_by_hand))
    report = model.check_gradient({"x": X, "y": Y}, {"w": W})
    assert report.passed and spent.calls == len(report.directions) == 4
    assert spent.evaluations <= K


@pytest.mark.parametrize("place", [0, 133, K - 1])
@pytest.mark.parametrize("factor", [1.001, 1.00001, 0.0])
def test_one_broken_derivative_is_found_though_both_formulas_agree_on_it(spent, place, factor):
    """The gradient by hand and autodiff are wrong in the same way: only a line through the coordinate can tell."""
    report = mle.check_gradient(poisson, poisson_by_hand, W, X, Y, by(factor, place))
    assert bad(report) == {f"params[{place}]": "autodiff wrong"}
    assert spent.evaluations <= 2 * K


def test_two_broken_derivatives_that_cancel_in_their_sum_do_not_hide_each_other():
    score = np.asarray(poisson_by_hand(W, X, Y, FACTORS))
    i, j = np.argsort(np.abs(score * W))[-2:]  # one after the other in size, so in one group
    factors = FACTORS.copy()
    factors[i] += 1e-3
    factors[j] -= 1e-3 * score[i] * W[i] / (score[j] * W[j])
    report = mle.check_gradient(poisson, poisson_by_hand, W, X, Y, factors)
    assert set(bad(report)) == {f"params[{i}]", f"params[{j}]"}


def test_a_single_wrong_coordinate_costs_few_calls_of_the_gradient(spent):
    report = mle.check_gradient(
        poisson, spent.of(lambda *a: poisson_by_hand(*a).at[7].multiply(1.001)), W, X, Y, FACTORS
    )
    assert bad(report) == {"params[7]": "wrong"}
    assert "'params[7]' the handwritten gradient is 1.0010000 times the right one" in report.diagnosis
    # Once per point, eight times to know the rounding, and twice traced, to look at each row alone.
    assert spent.calls <= 3 + 8 + 2
    assert spent.evaluations <= K


def test_a_gradient_that_is_wrong_everywhere_costs_no_line_for_each(spent):
    report = mle.check_gradient(poisson, spent.of(lambda *a: -poisson_by_hand(*a)), W, X, Y, FACTORS)
    assert set(bad(report).values()) == {"wrong"} and len(bad(report)) == K
    assert report.diagnosis == "The sign of the handwritten gradient is flipped in every coordinate."
    assert spent.calls <= 3 + 8 + 2 and spent.evaluations <= 3 * K


def test_autodiff_that_is_broken_everywhere_is_told_from_a_right_gradient(spent):
    right = mle.check_gradient(poisson, lambda w, x, y, f: poisson_by_hand(w, x, y, 1.0), W, X, Y, 1.001 * FACTORS)
    assert set(bad(right).values()) == {"autodiff wrong"} and len(bad(right)) == K
    # The lines of groups agree with what was written by hand; 16 coordinates and the direction are looked at closely.
    assert spent.evaluations <= 3 * (32 * 6 + (16 + 1) * (6 + 32 + 18) + 18 + 19 + 10 + 10)
    neither = mle.check_gradient(poisson, poisson_by_hand, W, X, Y, 1.001 * FACTORS)
    assert set(bad(neither).values()) == {"autodiff wrong"} and len(bad(neither)) == K


def test_kinks_are_seen_through_groups():
    sparse = np.where(np.arange(K) < 6, 0.0, W)

    def penalized(w, x, y, factors):
        return poisson(w, x, y, factors) - 5 * jnp.sum(jnp.abs(w))

    report = mle.check_gradient(
        penalized, lambda w, *a: poisson_by_hand(w, *a) - 5 * jnp.sign(w), sparse, X, Y, FACTORS
    )
    assert report.passed
    assert [row.name for row in report.rows if str(row.verdict) != "ok"] == [f"params[{i}]" for i in range(6)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_autodiff_alone_and_single_precision(spent, dtype):
    report = mle.check_gradient(poisson, None, W, X, Y, FACTORS, dtype=dtype)
    assert report.passed and spent.evaluations <= K
    broken = mle.check_gradient(poisson, None, W, X, Y, by(1.001, 11), dtype=dtype)
    assert bad(broken) == {"params[11]": "autodiff wrong"}


def test_sum_of_absolute_scores_in_blocks(monkeypatch):
    data, params = {"x": X, "y": Y}, {"w": W}
    with jax.enable_x64(True):
        whole = np.abs(MODEL.scores(params, data)["w"]).sum(axis=0)
        for block in (1, 7 * K, 10 * N * K):  # a row at a time, 28 blocks and a rest, everything at once
            monkeypatch.setattr(likelihood, "BLOCK", block)
            np.testing.assert_allclose(likelihood.score_magnitude(MODEL, params, data)["w"], whole, rtol=1e-12)


def test_scores_of_all_rows_never_exist_together():
    rows, columns = 20_000, 300
    shapes = {"x": jax.ShapeDtypeStruct((rows, columns), "float32"), "y": jax.ShapeDtypeStruct((rows,), "float32")}
    program = jax.jit(lambda p, d: likelihood.score_magnitude(MODEL, p, d))
    compiled = program.lower({"w": jax.ShapeDtypeStruct((columns,), "float32")}, shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < rows * columns * 4 / 2
