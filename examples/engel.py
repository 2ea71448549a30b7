"""Ernst Engel, 1857: how much more do households spend on food when they earn more?

Income and food expenditure of 235 Belgian households, and the line

    food = w[0] + w[1] income + noise

fitted twice by maximum likelihood. With Gaussian noise (least squares) it follows the few rich households that spend
little on food; with Laplace noise (least absolute deviations) it is the line that half of the households lie above.
Gradient descent climbs both likelihoods along the gradients that the text derives by hand. The Gaussian one it climbs
to the top; the Laplace one has corners, on which a fixed learning rate never settles, and the table says how far from
the exact maximum each rate stays.

Run it with: python examples/engel.py [--output DIR] (it needs the extras: pip install 'mle-jax[data,plot]')
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not
import mle_jax as mle

DATA = Path(__file__).resolve().parent / "data" / "engel.csv"
PICTURES = Path(__file__).resolve().parent / "pictures"
COLUMNS = {"y": "food", "x": ("intercept", "income")}
RATES = (0.1, 0.03, 0.01, 0.003)
STEPS = 5000


def read():
    """Return the data in francs, and in standard units (mean 0, standard deviation 1)."""
    income, food = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)
    units = [(values - values.mean()) / values.std() for values in (income, food)]
    ones = np.ones(income.size)
    return {"x": np.column_stack([ones, income]), "y": food}, {"x": np.column_stack([ones, units[0]]), "y": units[1]}


def gaussian_descent(standardized):
    # One learning rate has to serve every coordinate. In francs the curvature for the slope is a million times that for
    # the intercept, and no rate suits both; in standard units they are equal.
    model = mle.models.linear_gaussian()
    print("1. Is the gradient derived by hand right?\n")
    print(model.check_gradient(standardized, {"w": np.array([0.5, 0.5]), "variance": 2.0}), end="\n\n")

    print("2. Gradient descent with it, learning rate 0.1 (standard units; w[0] is the intercept, w[1] income)\n")
    descent = mle.fit(model, standardized, optimizer=mle.optimizers.GradientDescent(0.1), gradient="handwritten")
    print(descent.summary(), end="\n\n")
    exact = mle.fit(model, standardized)
    errors = exact.standard_errors()
    apart = max(np.max(np.abs(descent.params[name] - exact.params[name]) / errors[name]) for name in ("w", "variance"))
    print(f"After {descent.steps} steps, and the one Newton step that ends every certified fit, the descent")
    print(f"is {apart:.0e} standard errors from the closed form.\n")


def laplace_descent(standardized):
    """Return the exact fit and, by learning rate, the log-likelihood at every step."""
    model = mle.models.laplace_regression()
    exact = mle.fit(model, standardized)
    rows, histories = [], {}
    for rate in RATES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mle.ConvergenceWarning)  # that it does not settle is the point
            descent = mle.fit(
                model,
                standardized,
                optimizer=mle.optimizers.GradientDescent(rate),
                gradient="handwritten",
                max_steps=STEPS,
                record=True,
            )
        values = descent.history.value
        histories[f"learning rate {rate}"] = values
        rows.append((rate, exact.log_likelihood - values[-1], exact.log_likelihood - values.max(), values.argmax()))
    print(f"3. Gradient descent on the Laplace likelihood, {STEPS} steps (standard units)\n")
    names = ("learning_rate", "below_maximum_at_the_end", "below_maximum_at_best", "best_step")
    print(mle.Table(dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))), end="\n\n")
    print("The log-likelihood has corners, and the exact maximum lies on one: a fixed rate jumps to and fro across it.")
    print("A smaller rate stays nearer, and takes longer to get there.\n")
    return exact, histories


def both_lines(francs):
    """Return the Gaussian and the Laplace fit."""
    table = {"intercept": francs["x"][:, 0], "income": francs["x"][:, 1], "food": francs["y"]}
    fits = {}
    for number, (noise, model) in enumerate(
        {"Gaussian": mle.models.linear_gaussian(), "Laplace": mle.models.laplace_regression()}.items(), start=4
    ):
        fits[noise] = mle.fit(model, as_frame(table), columns=COLUMNS)
        print(f"{number}. {noise} noise, exactly, in francs\n")
        print(fits[noise].summary(), end="\n\n")
    slopes = {noise: fit.params["w"][1] for noise, fit in fits.items()}
    share = (francs["y"] / francs["x"][:, 1]).mean()
    print("Of one more franc of income, food takes", end=" ")
    print(", ".join(f"{slope:.3f} ({noise})" for noise, slope in slopes.items()), end="; ")
    print(f"of the present income {share:.3f}:")
    print("who earns more spends a smaller share on food. This is Engel's law.")
    better = fits["Laplace"].log_likelihood - fits["Gaussian"].log_likelihood
    print(f"The Laplace log-likelihood is higher by {better:.1f}: the noise has heavier tails than a Gaussian.")
    return fits


def as_frame(table):
    """Return a data frame, so that the tables carry the names of the columns."""
    import pandas as pd

    return pd.DataFrame(table)


def draw(folder, francs, fits, exact, histories):
    """Write the pictures and name the folder."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    income, food = francs["x"][:, 1], francs["y"]
    labels = {"Gaussian": "Gaussian noise (least squares)", "Laplace": "Laplace noise (least absolute deviations)"}
    lines = {labels[noise]: tuple(fit.params["w"]) for noise, fit in fits.items()}

    figure = Figure(figsize=(12.8, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    mle.plots.fitted_lines(income, food, lines, xlabel="income (francs a year)", ylabel="food (francs a year)", ax=left)
    left.set_title("Engel's households")
    fitted = francs["x"] @ fits["Laplace"].params["w"]
    mle.plots.residuals(fitted, food - fitted, xlabel="fitted food (francs)", ylabel="residual (francs)", ax=right)
    right.set_title("Residuals of the Laplace fit")
    figure.savefig(folder / "engel-lines.png", dpi=150)

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    ax = mle.plots.loss_curve(
        histories,
        optimum=exact.log_likelihood,
        larger_is_better=True,
        ylabel="log-likelihood: below its exact maximum",
        ax=figure.subplots(),
    )
    ax.set_title("Gradient descent on the Laplace likelihood does not settle")
    figure.savefig(folder / "engel-laplace-descent.png", dpi=150)
    print(f"\nPictures in {folder}: engel-lines.png, engel-laplace-descent.png")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Engel's households, by Gaussian and Laplace regression.")
    parser.add_argument("--output", type=Path, default=PICTURES, help="folder for the pictures (default: %(default)s)")
    folder = parser.parse_args(arguments).output
    francs, standardized = read()
    gaussian_descent(standardized)
    exact, histories = laplace_descent(standardized)
    fits = both_lines(francs)
    draw(folder, francs, fits, exact, histories)


if __name__ == "__main__":
    main()
