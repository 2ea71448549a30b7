"""Fit a likelihood of one's own and print the table: ``python student_t_mle_jax.py N``."""

import sys

import numpy as np
from jax.scipy.stats import t

import mle_jax as mle

rng = np.random.default_rng(8)
x = rng.standard_normal((int(sys.argv[1]), 3))
x[:, 0] = 1.0
y = x @ np.ones(3) + rng.standard_t(5, size=len(x))


def log_density(params, row):
    return t.logpdf(row["y"], params["df"], row["x"] @ params["w"], params["scale"])


model = mle.Model(log_density, {"w": mle.Real(columns="x"), "scale": mle.Positive(), "df": mle.Positive()})
start = {"w": np.linalg.lstsq(x, y, rcond=None)[0], "scale": float(np.std(y)), "df": 10.0}
fit = mle.fit(model, {"x": x, "y": y}, start=start)
print(fit.summary())
print("answer", *fit.params["w"], fit.params["scale"], fit.params["df"])
