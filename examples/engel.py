"""Ernst Engel, 1857: how much more do households spend on food when they earn more?

Income and food expenditure of 235 Belgian households, and the linear-Gaussian model

    food = w[0] + w[1] income + Gaussian noise

fitted twice: by gradient descent, step by step along the gradient that the text derives by hand, and in one go by the
closed form (least squares). The library certifies both, so the two must meet.

Run it with: python examples/engel.py
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not
import mle_jax as mle

DATA = Path(__file__).resolve().parent / "data" / "engel.csv"


def standardized(values):
    return (values - values.mean()) / values.std()


def main() -> None:
    income, food = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)

    # One learning rate has to serve every coordinate. In francs the curvature for the slope is a million times that for
    # the intercept, and no rate suits both; in standard units (mean 0, standard deviation 1) they are equal.
    x = np.column_stack([np.ones(income.size), standardized(income)])
    data = {"x": x, "y": standardized(food)}
    model = mle.models.linear_gaussian()

    print("1. Is the gradient derived by hand right?\n")
    print(model.check_gradient(data, {"w": np.array([0.5, 0.5]), "variance": 2.0}), end="\n\n")

    print("2. Gradient descent with it, learning rate 0.1 (standard units; w[0] is the intercept, w[1] income)\n")
    descent = mle.fit(model, data, optimizer=mle.optimizers.GradientDescent(0.1), gradient="handwritten")
    print(descent.summary(), end="\n\n")

    print("3. The closed form\n")
    exact = mle.fit(model, data)
    print(exact.summary(), end="\n\n")

    errors = exact.standard_errors()
    apart = max(np.max(np.abs(descent.params[name] - exact.params[name]) / errors[name]) for name in ("w", "variance"))
    print(f"After {descent.steps} steps, and the one Newton step that ends every certified fit, the descent")
    print(f"is {apart:.0e} standard errors from the closed form.\n")

    print("4. The closed form in francs\n")
    francs = mle.fit(model, {"x": np.column_stack([np.ones(income.size), income]), "y": food})
    print(francs.summary(), end="\n\n")

    slope, error = francs.params["w"][1], francs.standard_errors()["w"][1]
    share = (food / income).mean()
    print(f"Of one more franc of income {slope:.3f} +- {error:.3f} go into food, of the present income {share:.3f}:")
    print("who earns more spends a smaller share on food. This is Engel's law.")


if __name__ == "__main__":
    main()
