"""The chapter in one walk: gradients and maximum likelihood, T1 to T12, each with its formula, numbers and picture.

What is derived by hand in the text is held against automatic differentiation, and what an iteration finds against the
closed form. The last item is the complete example: Laplace regression, where gradient descent does not settle and the
exact solver does.

Run it with: python examples/text.py [--output DIR]
"""

import argparse
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not
import mle_jax as mle

PICTURES = Path(__file__).resolve().parent / "pictures"
PLACES = mle.text.EXAMPLES


class Album:
    """A folder of pictures; without matplotlib it stays closed, and says so once."""

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            from matplotlib.figure import Figure
        except ImportError:
            self.figure = None
            print("There will be no pictures: they need matplotlib, pip install 'mle-jax[plot]'.\n")
        else:
            self.figure = Figure
            self.folder.mkdir(parents=True, exist_ok=True)

    def draw(self, name, *panels):
        """Draw the panels side by side, each a function of its axes, and name the file."""
        if self.figure is None:
            return
        figure = self.figure(figsize=(6.4 * len(panels), 4.8), layout="constrained")
        for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(ax)
        path = self.folder / f"{name}.png"
        figure.savefig(path, dpi=150)
        print(f"\nPicture: {path}")


def begin(item):
    """Print where in the chapter we are, and what stands there; return it with a random case."""
    place = PLACES[item]
    title = f"{item}  {place.title}"
    print(f"\n\n{title}\n{'=' * len(title)}")
    print(textwrap.fill(place.statement, width=100), end="\n\n")
    params, args = next(iter(place.cases(0, 1)))
    return place, params, args


def check(place, params, args):
    """Print by hand, autodiff and finite differences side by side."""
    print(mle.check_gradient(place.function, place.gradient, params, *args))


def derivative_as_a_limit(album):  # T1
    place, _, _ = begin("T1")
    curve = mle.difference_curve(place.function, np.array([0.3, -0.2, 0.5]))
    for method, errors in (("forward", curve.forward), ("central", curve.central)):
        best = int(np.argmin(errors))
        print(
            f"{method} quotient: error {errors[0]:.0e} at h = {curve.steps[0]:.0e}, smallest {errors[best]:.0e}", end=""
        )
        print(f" at h = {curve.steps[best]:.0e}, and {errors[-1]:.0e} at h = {curve.steps[-1]:.0e}")
    album.draw("T1-difference-quotients", lambda ax: mle.plots.difference_error(curve, ax=ax))


def partials_and_gradient(album):  # T2, T3
    check(*begin("T2"))
    place, _, _ = begin("T3")
    check(place, np.array([1.0, 2.0, 3.0]), ())
    by_formula = 2 * np.sin(2) + 27, np.cos(2) + 3, 29.0
    print("\n(2 sin 2 + 27, cos 2 + 3, 29) =", ", ".join(f"{entry:.6f}" for entry in by_formula))


def gaussian_samples(album):  # T4, T5
    place, _, (data,) = begin("T4")
    best = place.closed_form(data)
    print(mle.critical_point(place.function, best, data))
    s2 = 2.25
    fit = mle.fit(mle.models.gaussian_mean(variance=s2), data)
    n = data["y"].size
    print(f"\nmean(x) = {data['y'].mean():.6f}, fitted {fit.params['mu']:.6f}; standard error sqrt(s2 / n) = ", end="")
    print(f"{np.sqrt(s2 / n):.6f}, fitted {fit.standard_errors()['mu']:.6f}")

    place, params, (data,) = begin("T5")
    check(place, params, (data,))
    fit = mle.fit(mle.models.gaussian(), data)
    print(f"\nmean((x - mean)^2) = {data['y'].var():.6f}, fitted {fit.params['variance']:.6f}")


def error_of_a_line(album):  # T6
    place, params, args = begin("T6")
    check(place, params, args)
    print("\nThe usual slip, the minus sign dropped:\n")
    slip = replace(place, gradient=lambda *at: {name: -entry for name, entry in place.gradient(*at).items()})
    check(slip, params, args)

    design, y = mle.text.line_data()
    best = place.closed_form(design[:, 1], y)
    album.draw(
        "T6-gradient-arrows",
        lambda ax: mle.plots.surface(
            error_at,
            (-2.0, 2.0),
            (0.0, 4.0),
            args=(design[:, 1], y),
            value_label="mean squared error R(w0, w1)",
            marks={"minimum": (best["w0"], best["w1"])},
            ax=ax,
        ),
    )


def error_at(w, x, y):
    """R of T6 as a function of the vector (w0, w1)."""
    return PLACES["T6"].function({"w0": w[0], "w1": w[1]}, x, y)


def linear_gaussian(album):  # T7, T8, T9
    place, params, (data,) = begin("T7")
    check(place, params, (data,))
    fit = mle.fit(mle.models.linear_gaussian(), data)
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    apart = np.max(np.abs(fit.params["w"] - w) / fit.standard_errors()["w"])
    print(f"\nX'X w = X'y: the fit is {apart:.0e} standard errors from NumPy's least squares,", end=" ")
    print(f"s2 = {fit.params['variance']:.6f} against {np.mean((data['y'] - data['x'] @ w) ** 2):.6f}")

    check(*begin("T8"))

    place, params, args = begin("T9")
    check(place, params, args)
    with jax.enable_x64(True):
        by_matrix, by_sum = (np.asarray(form(params, *args)["w"]) for form in (place.gradient, place.other_forms[0]))
    print(f"\nMatrix form and sum differ by at most {np.max(np.abs(by_matrix - by_sum)):.0e}.")


def critical_points(album):  # T10
    place, _, _ = begin("T10")
    rows = []
    for _, (hessian, center) in place.cases(0, 4):
        found = mle.critical_point(place.function, center, hessian, center)
        rows.append((found.verdict, *np.linalg.eigvalsh(hessian)))
    verdicts, first, second = zip(*rows, strict=True)
    print("Eigenvalues of the Hessian, and the verdict of the second-derivative test:\n")
    print(mle.Table({"verdict": verdicts, "smaller": np.round(first, 12), "larger": np.round(second, 12)}))


def gradient_descent(album):  # T11
    begin("T11")
    design, y = mle.text.line_data()
    x = design[:, 1]
    run = mle.text.descend_line(record=True)
    w = np.linalg.lstsq(design, y, rcond=None)[0]
    print(f"One line, a = 0.05: after {run.steps} steps w = {rounded(run.params['w'])}, least squares {rounded(w)}")
    album.draw(
        "T11-descent",
        lambda ax: mle.plots.descent_path(
            error_at, run.history.params["w"], args=(x, y), value_label="R", marks={"least squares": w}, ax=ax
        ),
        lambda ax: mle.plots.fitted_lines(x, y, {"start": (1.0, 1.0), "after 100 steps": run.params["w"]}, ax=ax),
    )

    design, y = mle.text.features_data()
    run = mle.text.descend_features(record=True)
    w = np.linalg.lstsq(design, y, rcond=None)[0]
    least = float(np.mean((y - design @ w) ** 2))
    print(
        f"\nFive features, a = 0.01: {run.status.name} after {run.steps} steps, R = {run.value:.6f}; least squares has"
    )
    print(f"{least:.6f}. That R changes by less than 1e-6 does not mean that R is within 1e-6 of the least.")
    album.draw(
        "T11-loss",
        lambda ax: mle.plots.loss_curve(run.history, ylabel="mean squared error R", ax=ax),
        lambda ax: mle.plots.loss_curve(run.history, optimum=least, ylabel="R above least squares", ax=ax),
    )


def laplace_regression(album):  # T12
    check(*begin("T12"))
    design, y = mle.text.laplace_data()
    data = {"x": design, "y": y}

    print("\nGradient descent with a fixed learning rate comes near and rattles; it does not settle:\n")
    descent = mle.text.descend_laplace()
    print(descent)
    runs = {f"a = {rate:g}": descent.histories[rate] for rate in (1.0, 0.1, 0.01)}
    top = descent.exact.log_likelihood
    options = {"optimum": top, "larger_is_better": True, "log_steps": True}
    album.draw(
        "T12-loss",
        lambda ax: mle.plots.loss_curve(runs, ylabel="log-likelihood below the maximum", ax=ax, **options),
    )

    print("\nThe exact solver ends on a corner, and proves it:\n")
    exact = mle.fit(mle.models.laplace_regression(), data)
    print(exact.summary())
    residuals = y - design @ exact.params["w"]
    zeros = np.sum(np.abs(residuals) < 1e-12)
    mean = np.mean(np.abs(residuals))
    print(f"\n{zeros} of {y.size} residuals are 0; mean |r| = {mean:.6f} is the scale: more than the 0.5 of the noise,")
    print("because the outliers count in it.")
    outliers(album, data, exact)


def outliers(album, data, exact):
    """Fit both lines with and without the outliers of T12."""
    fitted = data["x"] @ exact.params["w"]
    residuals = data["y"] - fitted
    far = np.abs(residuals) > 5 * exact.params["scale"]
    rest = {"x": data["x"][~far], "y": data["y"][~far]}
    gaussian, laplace = mle.models.linear_gaussian(), mle.models.laplace_regression()
    lines = {"Gaussian (least squares)": mle.fit(gaussian, data).params["w"], "Laplace (exact)": exact.params["w"]}
    print(f"\n{far.sum()} outliers pull the Gaussian line far away, the Laplace line a little; the truth is (0, 2):\n")
    print(f"  {'line (intercept, slope)':26} {'all points':22} without the outliers")
    for (label, w), model in zip(lines.items(), (gaussian, laplace), strict=True):
        print(f"  {label:26} {rounded(w):22} {rounded(mle.fit(model, rest).params['w'])}")
    album.draw(
        "T12-laplace-and-gaussian",
        lambda ax: mle.plots.fitted_lines(data["x"][:, 1], data["y"], lines, outliers=far, ax=ax),
        lambda ax: mle.plots.residuals(fitted, residuals, xlabel="fitted value, Laplace", ax=ax),
    )


def rounded(w):
    return "(" + ", ".join(f"{entry:.5f}" for entry in w) + ")"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", metavar="DIR", default=PICTURES, help="folder for the pictures, %(default)s")
    album = Album(parser.parse_args(arguments).output)
    for part in (
        derivative_as_a_limit,
        partials_and_gradient,
        gaussian_samples,
        error_of_a_line,
        linear_gaussian,
        critical_points,
        gradient_descent,
        laplace_regression,
    ):
        part(album)


if __name__ == "__main__":
    main()
