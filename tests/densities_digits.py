"""Hold the densities against the committed references; ``python -m tests.densities_digits`` tabulates the digits.

``python -m tests.densities_digits [family ...] [--float32] [--worst]``, from the root of the checkout.

The error of a number is relative to the larger of these: the number itself, and a hundredth of its conditioning (the
sum of |input * d number/d input|, from the references). An error of 1e-12 thus means 12 digits of the number, or, where
rounding of the inputs alone makes that impossible, as near the zero of a log density, what some 90 roundings of the
inputs explain. A mixed second derivative is also held against a hundredth of the geometric mean of the two pure ones:
scaled like that it enters the solution of linear equations, and where it nearly vanishes nothing depends on its digits.
"""

import argparse
import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax import densities

DATA = Path(__file__).parent / "data" / "densities"
FAMILIES = tuple(sorted(path.stem for path in DATA.glob("*.json")))
KINDS = ("value", "gradient", "Hessian")
CONDITIONING = 0.01
RANGE = {"float64": (1e-290, 1e290), "float32": (1e-30, 1e30)}
"""Numbers outside are not compared: they, or the steps to them, leave the range of the type."""


@functools.cache
def references(family):
    """Return, by function: names of the inputs, which have derivatives, and points, numbers, conditionings."""
    content = json.loads((DATA / f"{family}.json").read_text())
    return {
        name: (
            table["inputs"],
            tuple(table["free"]),
            *(np.array([row[k] for row in table["points"]]) for k in range(3)),
        )
        for name, table in content.items()
    }


def _poisson_mixture(function):
    def adapted(y, logit, mean):
        base, zero = densities.poisson.log_density(y, mean), densities.poisson.log_density(jnp.zeros_like(y), mean)
        return function(y, logit, log_base=base, log_base_zero=zero)

    return adapted


def _truncated_normal(y, mean, sd, low, high):
    return densities.truncated.log_density(y, densities.normal, mean=mean, sd=sd, low=low, high=high)


def _bivariate(y0, y1, l00, l10, l11):
    cholesky = jnp.array([[l00, 0.0], [l10, l11]])
    return densities.multivariate_normal.log_density(jnp.array([y0, y1]), jnp.zeros(2, y0.dtype), cholesky)


SCALAR_FORMS = {
    ("categorical", "log_density"): lambda y, a, b, c: densities.categorical.log_density(y, jnp.array([a, b, c])),
    ("ordered", "log_density"): lambda y, linear, a, b: densities.ordered.log_density(y, linear, jnp.array([a, b])),
    ("ordered", "log_density_probit"): (
        lambda y, linear, a, b: densities.ordered.log_density_probit(y, linear, jnp.array([a, b]))
    ),
    ("multivariate_normal", "log_density"): _bivariate,
    ("zero_inflated", "log_density"): _poisson_mixture(densities.zero_inflated.log_density),
    ("zero_inflated", "log_density_hurdle"): _poisson_mixture(densities.zero_inflated.log_density_hurdle),
    ("truncated", "log_density"): _truncated_normal,
}
"""Functions of vectors, or of other functions, as functions of numbers, which the references know."""


def everything(function, inputs, free):
    """Return the function of points (n, inputs) that gives value, gradient and upper triangle of the Hessian."""
    places = jnp.array(free)

    def at(point):
        def of(x):
            return function(**dict(zip(inputs, point.at[places].set(x), strict=True)))

        def slope(x):
            value, gradient = jax.value_and_grad(of)(x)
            return gradient, (value, gradient)

        hessian, (value, gradient) = jax.jacfwd(slope, has_aux=True)(point[places])
        return jnp.concatenate([value[None], gradient, hessian[jnp.triu_indices(len(free))]])

    return jax.vmap(at)


def computed(family, dtype="float64"):
    """Return, by function, what the library says at the points of the references: one compilation for all."""
    module, tables = getattr(densities, family), references(family)

    def scalar(name):
        return SCALAR_FORMS.get((family, name)) or getattr(module, name)

    def all_functions(points):
        return {name: everything(scalar(name), *tables[name][:2])(points[name]) for name in points}

    with jax.enable_x64(dtype == "float64"):
        points = {name: table[2].astype(dtype) for name, table in tables.items()}
        return {name: np.asarray(found, np.float64) for name, found in jax.jit(all_functions)(points).items()}


def pure_scales(numbers, k):
    """Return, for mixed second derivatives, the geometric mean of the two pure ones; 0 for all other numbers."""
    rows, columns = np.triu_indices(k)
    pure = np.sqrt(np.abs(numbers[:, 1 + k :][:, rows == columns]))
    mixed = np.where(rows == columns, 0.0, pure[:, rows] * pure[:, columns])
    return np.concatenate([np.zeros((len(numbers), 1 + k)), mixed], axis=1)


def errors(family, dtype="float64"):
    """Return, by function and kind, the errors (points, numbers of the kind); 0 where they cannot be compared."""
    smallest, largest = RANGE[dtype]
    result = {}
    for name, found in computed(family, dtype).items():
        _, free, points, numbers, conditionings = references(family)[name]
        scale = np.maximum(np.abs(numbers), CONDITIONING * np.maximum(conditionings, pure_scales(numbers, len(free))))
        off = np.abs(found - numbers)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(off == 0, 0.0, off / scale)
        error = np.where(scale < smallest, np.where(np.abs(found) < 2 * smallest, 0.0, np.inf), error)
        comparable = (np.abs(points) < largest) & ((points == 0) | (np.abs(points) > smallest))
        comparable = comparable.all(axis=1, keepdims=True) & (np.abs(numbers) < largest)
        error = np.where(np.isnan(found), np.inf, error)
        error = np.where(comparable, error, 0.0)
        ends = (0, 1, 1 + len(free), error.shape[1])
        result |= {(name, kind): error[:, ends[k] : ends[k + 1]] for k, kind in enumerate(KINDS)}
    return result


def digits(error):
    """Return how many decimal digits an error leaves, at most 17."""
    return 17.0 if error <= 1e-17 else -math.log10(error)


def main():
    parser = argparse.ArgumentParser(description="Tabulate the digits reached by each density, at the worst point.")
    parser.add_argument("families", nargs="*", help="all by default")
    parser.add_argument("--float32", action="store_true", help="in single precision")
    parser.add_argument("--worst", action="store_true", help="name the worst points")
    arguments = parser.parse_args()
    print(f"{'':44}{'points':>7}" + "".join(f"{kind:>10}" for kind in KINDS))
    for family in arguments.families or FAMILIES:
        found = errors(family, "float32" if arguments.float32 else "float64")
        for name, table in references(family).items():
            row = [digits(found[name, kind].max()) for kind in KINDS]
            print(f"{family + '.' + name:44}{len(table[2]):7}" + "".join(f"{value:10.1f}" for value in row))
            for kind in KINDS if arguments.worst else ():
                error = found[name, kind]
                point = np.unravel_index(error.argmax(), error.shape)
                inputs = ", ".join(f"{n}={v:.9g}" for n, v in zip(table[0], table[2][point[0]], strict=True))
                print(f"    {kind}[{point[1]}] off by {error.max():.1e} at {inputs}")


if __name__ == "__main__":
    main()
