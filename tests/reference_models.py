"""Reference cases as a user writes them: own log densities, nothing of the library but `mle.Model` and the domains.

``python -m tests.reference_models [case ...]``, from the root of the checkout, tabulates the digits reached, as
`tests.models_digits` does for the ready-made models. Formulas are the textbook ones that each case names; starts are
the library's own but where a declaration says ``start=``.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

import mle_jax as mle
from tests.models_digits import Case, tabulate


def conditional_logit(params, person):
    """McFadden's choice among the rows of x (alternatives, p): v_chosen - log sum_j exp(v_j)."""
    v = person["x"] @ params["w"]
    return v @ person["y"] - jax.nn.logsumexp(v)


def cox(params, data, *, efron):
    """Partial log-likelihood of Cox's regression; times that tie by Breslow's sum or by Efron's.

    The d deaths at a time share the risk set, of weight R; in Efron's form the l-th of them, l = 0, ..., d - 1, sees
    only R - (l / d) D, with D the weight of those who die then (Efron 1977, JASA 72, 557-565).
    """
    eta = data["x"] @ params["w"]
    dies = data["status"] == 1
    at_risk = data["y"][None, :] >= data["y"][:, None]
    together = (data["y"][None, :] == data["y"][:, None]) & dies
    risk = jnp.log(at_risk @ jnp.exp(eta))
    if efron:
        count = together.sum(axis=1)
        before = jnp.sum(together & (jnp.arange(len(eta))[None, :] < jnp.arange(len(eta))[:, None]), axis=1)
        risk = jnp.log(at_risk @ jnp.exp(eta) - before / jnp.maximum(count, 1) * (together @ jnp.exp(eta)))
    return jnp.sum(jnp.where(dies, eta - risk, 0.0))


def garch_variances(params, data):
    """Variances of GARCH(1, 1): h_t = omega + alpha e_{t-1}^2 + beta h_{t-1}, both of them mean(e^2) before t = 1."""
    squares = (data["y"] - params["mu"]) ** 2
    begin = jnp.mean(squares)

    def step(last, square):
        h = params["omega"] + params["alpha"] * last[0] + params["beta"] * last[1]
        return (square, h), h

    return jax.lax.scan(step, (begin, begin), squares)[1]


def garch(params, data):
    """Gaussian contributions of the returns."""
    return norm.logpdf(data["y"], params["mu"], jnp.sqrt(garch_variances(params, data)))


def garch_information(params, data):
    """Sum of the expectations given the past: dh dh' / (2 h^2), and 1 / h for mu, on which the others do not depend.

    Source: Fiorentini, Calzolari and Panattoni (1996), Journal of Applied Econometrics 11, 399-417.
    """
    h = garch_variances(params, data)
    slopes = jax.jacobian(garch_variances)(params, data)
    rows = jnp.stack([slopes[name] for name in ("mu", "omega", "alpha", "beta")], axis=1) / h[:, None]
    of_variances = rows.T @ rows / 2
    return of_variances.at[0, 1:].set(0.0).at[1:, 0].set(0.0).at[0, 0].add(jnp.sum(1 / h))


def local_level(params, data):
    """Kalman filter of a random walk seen with noise, exactly diffuse: given the first value."""
    y, noise, drift = 1.0 * data["y"], params["noise"], params["drift"]

    def step(state, now):
        level, variance = state
        total = variance + noise
        gain = variance / total
        moved = (level + gain * (now - level), variance * (1 - gain) + drift)
        return moved, norm.logpdf(now, level, jnp.sqrt(total))

    return jax.lax.scan(step, (y[0], noise + drift), y[1:])[1]


def gev(params, row):
    """Generalized extreme values: -log s - (1 + 1/xi) log t - t^(-1/xi), t = 1 + xi (y - mu) / s > 0."""
    t = 1 + params["xi"] * (row["y"] - params["mu"]) / params["sigma"]
    log_t = jnp.log(jnp.where(t > 0, t, 1.0))
    value = -jnp.log(params["sigma"]) - (1 + 1 / params["xi"]) * log_t - jnp.exp(-log_t / params["xi"])
    return jnp.where(t > 0, value, -jnp.inf)


def spread_regression(params, row):
    """Gaussian with a linear mean and a linear log standard deviation."""
    return norm.logpdf(row["y"], row["x"] @ params["w"], jnp.exp(row["z"] @ params["spread"]))


def log_beta(a, b):
    """Logarithm of the beta function; `jax.scipy.special.betaln` of jax 0.10 is off by 1e-6 here."""
    return gammaln(a) + gammaln(b) - gammaln(a + b)


def beta_binomial(params, row):
    """Binomial whose probability is beta(a, b) with a + b = (1 - rho)/rho, so that rho is the correlation of trials."""
    y, m, size = row["y"], row["trials"], (1 - params["rho"]) / params["rho"]
    a, b = (jax.nn.sigmoid(sign * (row["x"] @ params["w"])) * size for sign in (1, -1))
    choose = gammaln(m + 1.0) - gammaln(y + 1.0) - gammaln(m - y + 1.0)
    return choose + log_beta(y + a, m - y + b) - log_beta(a, b)


def negative_binomial(y, eta, dispersion):
    """NB2 with the mean exp(eta) and the variance mean + dispersion mean^2."""
    size = 1 / dispersion
    constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    return constant + y * (jnp.log(dispersion) + eta) - (y + size) * jnp.log1p(dispersion * jnp.exp(eta))


def hurdle(params, row):
    """Counts that pass zero with a logistic probability, and are then negative binomial without zero."""
    y, eta, passes = row["y"], row["x"] @ params["w"], row["z"] @ params["passes"]
    at_zero = negative_binomial(0.0, eta, params["dispersion"])
    positive = negative_binomial(y, eta, params["dispersion"]) - jnp.log(-jnp.expm1(at_zero))
    return jnp.where(y == 0, jax.nn.log_sigmoid(-passes), jax.nn.log_sigmoid(passes) + positive)


def one_way(params, row):
    """Analysis of variance: a mean per group, one standard deviation."""
    return norm.logpdf(row["y"], params["mu"][row["group"]], params["sigma"])


def least_squares(params, row):
    """Gaussian around a line."""
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["sigma"])


def poisson(params, row):
    """Poisson with log link."""
    eta = row["x"] @ params["w"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


def student_t(params, row):
    """Student's t around a line, degrees of freedom unknown."""
    nu, z = params["nu"], (row["y"] - row["x"] @ params["w"]) / params["sigma"]
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - jnp.log(nu * jnp.pi) / 2 - jnp.log(params["sigma"])
    return constant - (nu + 1) / 2 * jnp.log1p(z**2 / nu)


def mixture(params, row):
    """Two normals."""
    first = jnp.log(params["pi"]) + norm.logpdf(row["y"], params["mu1"], params["sd1"])
    second = jnp.log1p(-params["pi"]) + norm.logpdf(row["y"], params["mu2"], params["sd2"])
    return jnp.logaddexp(first, second)


LINE = {"w": mle.Real(columns="x")}
SIZES = {"x": (210, 4, 6), "y": (210, 4)}
POISSON = mle.Model(poisson, LINE)
LEAST_SQUARES = mle.Model(least_squares, {**LINE, "sigma": mle.Positive()})
MIXTURE = mle.Model(
    mixture,
    {
        "pi": mle.Interval(0, 1),
        "mu1": mle.Real(start=50.0),
        "sd1": mle.Positive(start=10.0),
        "mu2": mle.Real(start=90.0),
        "sd2": mle.Positive(start=10.0),
    },
)


def case_of(model, **how):
    """Return a case that is put into one model."""
    return Case(lambda: model, **how)


def analysis_of_variance(groups):
    """Return the case of a one-way layout."""
    model = mle.Model(one_way, {"mu": mle.Real(groups), "sigma": mle.Positive()})
    names = {f"mu_{group}": f"mu[{group - 1}]" for group in range(1, groups + 1)}
    return case_of(
        model,
        leaves={},
        parameters={**names, "sigma": "sigma"},
        more={"group": "group"},
        arrange=lambda data: {**data, "group": data["group"] - 1},
    )


def cox_case(*, efron):
    """Return the case of Cox's regression with one of two treatments of ties."""
    model = mle.Model.joint(functools.partial(cox, efron=efron), LINE, name="cox")
    return case_of(model, more={"y": "time", "status": "event"})


CASES = {
    "clogit_modechoice": case_of(
        mle.Model(conditional_logit, {"w": mle.Real(6)}),
        leaves={"x": "v"},
        parameters={"v": "w"},
        arrange=lambda data: {leaf: data[leaf].reshape(size) for leaf, size in SIZES.items()},
    ),
    "coxph_lung": cox_case(efron=False),
    "garch11_dem2gbp": case_of(
        mle.Model.joint(
            garch,
            {"mu": mle.Real(), "omega": mle.Positive(), "alpha": mle.Interval(0, 1), "beta": mle.Interval(0, 1)},
            expected_information=garch_information,
        ),
        leaves={},
        parameters={name: name for name in ("mu", "omega", "alpha", "beta")},
    ),
    "locallevel_nile": case_of(
        mle.Model.joint(local_level, {"noise": mle.Positive(), "drift": mle.Positive()}),
        leaves={},
        parameters={"sigma2_eps": "noise", "sigma2_eta": "drift"},
    ),
    "gev_portpirie": case_of(
        mle.Model(gev, {"mu": mle.Real(), "sigma": mle.Positive(), "xi": mle.Real(start=0.1)}),
        leaves={},
        parameters={"mu:const": "mu", "sigma": "sigma", "xi": "xi"},
    ),
    "hetero_gaussian_engel": case_of(
        mle.Model(spread_regression, {**LINE, "spread": mle.Real(columns="z")}),
        leaves={"x": "mu", "z": "logsd"},
        parameters={"mu": "w", "logsd": "spread"},
    ),
    "betabinomial_lirat": case_of(
        mle.Model(beta_binomial, {**LINE, "rho": mle.Interval(0, 1)}), parameters={"eta": "w", "rho": "rho"}
    ),
    "hurdle_nb_biochemists": case_of(
        mle.Model(hurdle, {**LINE, "passes": mle.Real(columns="z"), "dispersion": mle.Positive()}),
        leaves={"x": "eta_count", "z": "eta_pos"},
        parameters={"eta_count": "w", "eta_pos": "passes", "alpha": "dispersion"},
    ),
    "student_t_stackloss": case_of(
        mle.Model(student_t, {**LINE, "sigma": mle.Positive(), "nu": mle.Positive()}),
        leaves={"x": "mu"},
        parameters={"mu": "w", "sigma": "sigma", "nu": "nu"},
    ),
    "cluster_poisson_epil": case_of(POISSON),
    "sep_poisson_09": case_of(POISSON),  # not separated: no false alarm
    "mixture2_geyser": case_of(MIXTURE, leaves={}, parameters={n: n for n in ("pi", "mu1", "sd1", "mu2", "sd2")}),
    "nist_anova_sirstv": analysis_of_variance(5),
    "nist_anova_atmwtag": analysis_of_variance(2),
    **{f"nist_anova_smls0{number}": analysis_of_variance(9) for number in (1, 4, 7, 8)},
}
EFRON = cox_case(efron=True)


if __name__ == "__main__":
    tabulate(CASES)
