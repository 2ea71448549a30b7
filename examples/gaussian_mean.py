"""The shortest program: write down the log density of one observation, check the gradient, fit, read the table.

Run it with: python examples/gaussian_mean.py
"""

import sys
from pathlib import Path

import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not
import mle_jax as mle

VARIANCE = 0.25


def log_density(params, row):  # ONE observation -> scalar
    return -0.5 * jnp.log(2 * jnp.pi * VARIANCE) - (row["y"] - params["mu"]) ** 2 / (2 * VARIANCE)


def by_hand(params, data):  # the gradient of the TOTAL log-likelihood, derived with paper and pencil
    return {"mu": jnp.sum(data["y"] - params["mu"]) / VARIANCE}


def main() -> None:
    data = {"y": [1.8, 2.9, 2.2, 2.6, 1.7, 2.4]}
    model = mle.Model(log_density, {"mu": mle.Real()}, gradient=by_hand)
    print(model.check_gradient(data), end="\n\n")
    print(mle.fit(model, data).summary())


if __name__ == "__main__":
    main()
