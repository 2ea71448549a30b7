"""How much work a log density is, counted by hand, and what is compiled in a hurry for that reason."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.fitting import batch_engine, precision
from mle_jax.fitting.batch_engine import decided_on_native_loops, is_worth_compiling
from mle_jax.likelihood.workload import MOST_WORK, OF_A_DATASET, TRIPS, compiles_in_a_hurry, is_brief

# A product, a difference, a square (of 7 numbers), a sum of these 7: 7 + 7 + 7 + 7.
SEVEN = 4 * 7


def of_seven(params, row):
    return -jnp.sum(jnp.square(row["y"] - params["a"] * row["x"]))


def in_loop(params, row):
    return jax.lax.scan(lambda total, y: (total + y * params["a"], None), params["a"], row["y"])[0]


def in_a_branch(params, row):
    many = jnp.full(1000, 0.1, params["a"].dtype)
    return jax.lax.cond(row["y"][0] > 0, lambda a: jnp.sum(a * many), lambda a: jnp.sum(a + many), params["a"])


def in_a_loop_without_end(params, row):
    return jax.lax.while_loop(lambda x: x < 1.0, lambda x: x + 1.0, params["a"])


def data(rows):
    return {"x": np.ones((rows, 7)), "y": np.ones((rows, 7))}


def model(log_density):
    return mle.Model(log_density, {"a": mle.Real(start=0.5)})


def most_rows(model):
    """Return by bisection for how many rows code compiled in a hurry is good enough."""
    low, high = 1500, 10**9
    while high - low > 1:
        middle = (low + high) // 2
        described = {name: jax.ShapeDtypeStruct((middle, 7), np.dtype(float)) for name in ("x", "y")}
        low, high = (middle, high) if compiles_in_a_hurry(model, described) else (low, middle)
        model._searched.clear()
    return low


@jax.enable_x64(True)
@pytest.mark.parametrize(
    ("log_density", "work"),
    [
        (of_seven, SEVEN + 1),  # and the sign
        (in_loop, 7 * 2),
        (in_a_loop_without_end, TRIPS * 2),  # a comparison and a sum
    ],
)
def test_work_is_counted_by_the_numbers_worked_out(log_density, work):
    assert most_rows(model(log_density)) == (MOST_WORK - OF_A_DATASET) // work


@jax.enable_x64(True)
def test_of_a_branch_all_sides_count():
    """Rows choose, so under `vmap` all are worked out, each 1000 numbers and their sum; 1000 and 10 are beside."""
    assert most_rows(model(in_a_branch)) == (MOST_WORK - OF_A_DATASET) // (2 * 2000 + 1010)


def test_what_neither_takes_nor_gives_a_number_is_no_work():
    def noted(params, row):
        jax.debug.callback(lambda: None)
        return of_seven(params, row)

    assert compiles_in_a_hurry(model(noted), data(5000))


def test_many_datasets_are_much_work_however_small():
    assert compiles_in_a_hurry(model(of_seven), data(1000), datasets=300)
    assert not compiles_in_a_hurry(model(of_seven), data(1000), datasets=400)
    assert not compiles_in_a_hurry(model(of_seven), data(1), datasets=10_001)


def of_several(params, row):
    return sum(of_seven({"a": params[name]}, row) for name in params)


def test_brief_is_what_has_few_parameters_and_a_short_density():
    assert is_brief(model(of_seven), data(50))
    # Twice that and one sum by the parameters one by one; 59 * 4 is more than 200.
    two = mle.Model(of_several, {"a": mle.Real(), "b": mle.Real()})
    assert not is_brief(two, data(50))
    short = mle.Model(lambda p, row: p["a"] * p["b"] - row["y"][0], {"a": mle.Real(), "b": mle.Real()})
    assert is_brief(short, data(50))


def test_native_loops_are_worth_compiling_for_many_datasets_and_of_brief_densities_for_fewer():
    brief, long = model(of_seven), mle.Model(of_several, {"a": mle.Real(), "b": mle.Real()})
    table = ((100, 100_000, False, False), (1000, 800_000, True, False), (20_000, 0, True, True))
    for lanes, numbers, if_brief, usual in table:
        assert is_worth_compiling(brief, data(50), lanes, numbers) is if_brief
        assert is_worth_compiling(long, data(50), lanes, numbers) is usual


def test_joint_models_may_be_any_work():
    joint = mle.Model.joint(lambda p, d: -((d["y"] - p["a"]) ** 2).sum(), {"a": mle.Real()})
    assert not compiles_in_a_hurry(joint, data(5000))


@pytest.fixture
def asked_for(monkeypatch):
    """Note what is asked of the compiler."""
    asked = []
    for module in (batch_engine, precision):
        plain = module.verb_program

        def noting(*args, plain=plain, hurry=False, **static):
            asked.append(hurry)
            return plain(*args, hurry=hurry, **static)

        monkeypatch.setattr(module, "verb_program", noting)
    return asked


def test_fits_and_batches_of_little_work_are_compiled_in_a_hurry(asked_for):
    one = {"y": np.arange(3000.0) % 7, "x": np.ones((3000, 7))}
    gaussian = mle.Model(
        lambda p, row: -0.5 * ((row["y"] - p["m"]) / p["s"]) ** 2 - jnp.log(p["s"]),
        {"m": mle.Real(), "s": mle.Positive()},
    )
    fit = mle.fit(gaussian, one)
    assert asked_for.pop() is True and fit.converged
    np.testing.assert_allclose(fit.params["m"], np.mean(one["y"]), rtol=1e-10)
    batch = {name: np.stack([leaf[:1000], leaf[1000:2000], leaf[2000:]]) for name, leaf in one.items()}
    fits = mle.fit_batch(gaussian, batch)
    assert asked_for.pop() is True and fits.converged.all()
    np.testing.assert_allclose(fits.params["m"], batch["y"].mean(axis=1), rtol=1e-10)
    with decided_on_native_loops(False):  # a chunk of groups: there are more
        mle.fit_batch(gaussian, batch)
    assert asked_for.pop() is False
    mle.fit(gaussian, one, optimizer=mle.optimizers.LBFGS())
    assert asked_for.pop() is False


def test_the_few_lanes_that_native_loops_leave_are_compiled_in_a_hurry(asked_for, monkeypatch):
    """Whose code is long takes longer to compile than they take, and each number of them is compiled anew."""
    monkeypatch.setattr(batch_engine, "suits_native", lambda *_: True)
    monkeypatch.setattr(batch_engine, "_is_worth", lambda *_: True)

    def natively(_, __, ___, lanes, ____, soon_done):
        assert soon_done(lanes.size)  # asked where some of them need more steps
        return [], lanes

    monkeypatch.setattr(batch_engine, "_natively", natively)
    line, same = (
        mle.Model(
            lambda p, row: -0.5 * (row["y"] - p["m"] - row["x"] @ p["w"]) ** 2, {"m": mle.Real(), "w": mle.Real((6,))}
        )
        for _ in range(2)
    )
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 1000, 6)), rng.standard_normal((3, 1000))
    fits = mle.fit_batch(line, {"x": x, "y": y})
    assert asked_for.pop() is True and fits.converged.all()
    assert compiles_in_a_hurry(same, {"x": x[0], "y": y[0]}, datasets=3) and line._searched == same._searched
    for lane in range(3):
        design = np.column_stack([np.ones(1000), x[lane]])
        found = np.concatenate([[fits.params["m"][lane]], fits.params["w"][lane]])
        np.testing.assert_allclose(found, np.linalg.lstsq(design, y[lane])[0], rtol=0, atol=1e-12)


def test_what_is_searched_again_and_again_is_compiled_as_usual():
    line, first = model(of_seven), data(5000)
    times = MOST_WORK // (OF_A_DATASET + 5000 * (SEVEN + 1))
    assert times > 50
    told = [compiles_in_a_hurry(line, first) for _ in range(times + 2)]
    assert told == [True] * times + [False] * 2
    assert compiles_in_a_hurry(line, data(5001)) and compiles_in_a_hurry(model(of_seven), first)
    assert all(compiles_in_a_hurry(line, data(10)) for _ in range(times))  # of few numbers always
