"""The certificate for thousands of coordinates: the Hessian is multiplied with vectors and never formed.

What `certificate` reads off an eigendecomposition comes here from two methods that keep a few dozen vectors, those of
`_krylov`, both on the scale of the diagonal of the information I:

(a) the decrement sqrt(g' I^-1 g) by conjugate gradients, rounded up by what their residual may lack;
(b) the smallest eigenvalue and its vector by Lanczos' method: an upper bound, together with the distance within which
    there is an eigenvalue. I counts as positive definite where that upper bound, less the distance, is above rounding,
    and no conjugate gradient met a direction of negative curvature;
(c) the drops along the step and along that vector, as they are;

and the curvature is checked along the few vectors of smallest eigenvalues, along one direction in which all take part
about alike, I^-1/2 z, and, where that does not bend as the information says to a fraction of 1/k, along every single
coordinate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._krylov import Lowest, Solved, lowest_eigenvalues, solve_by_products
from mle_jax._linalg import rounding_floor
from mle_jax._objective import Evaluation, Objective
from mle_jax.fitting.certificate import (
    ENOUGH,
    FACTOR,
    NOT_FORMED,
    PROBE,
    SHARE,
    Certificate,
    agree_nearby,
    ahead,
    bends_of,
    both_sides,
    falls_over,
    judged,
    mismatch_of,
    noise,
    taking_part,
)
from mle_jax.likelihood.loss import to_information, to_log_likelihood

AT_ONCE = 16  # coordinates along which the log-likelihood is evaluated side by side


def certify(objective: Objective, here: Evaluation, scale: Array | float) -> Certificate:
    """Evaluate the certificate at a point whose value and gradient are known."""
    certificate, across = _curvature(objective, here, scale)
    moves = jnp.concatenate([ahead(certificate), both_sides(certificate, PROBE), across[None], -across[None]])
    falls = falls_over(objective, here, moves, scale)
    found = judged(certificate, here, falls[:-2], scale)
    apart = ENOUGH / here.point.size
    seen = (noise(here, scale) <= 0.1 * PROBE**2 * apart) & jnp.all(certificate.signs > 0)
    as_said = jnp.abs(jnp.sum(falls[-2:]) / PROBE**2 - 1.0) <= apart
    enough = seen & as_said & jnp.all(falls[3:] > 0)
    one_by_one = lambda: _along_coordinates(objective, here, found, scale)  # noqa: E731
    return jax.tree_util.tree_map(jnp.asarray, jax.lax.cond(enough, lambda: found, one_by_one))


def distance(objective: Objective, here: Evaluation, diagonal: Array, scale: Array | float) -> Array:
    """Return the decrement by conjugate gradients alone; infinity where these do not get to their end."""
    units = scale_of(diagonal)
    right = here.gradient / units
    found = solve_by_products(scaled_product(objective, here.point, units), right)
    complete = ~found.bent & (jnp.sum(found.residual**2) <= 1e-12 * jnp.sum(right**2))
    return jnp.where(complete, jnp.sqrt(jnp.maximum(right @ found.solution, 0.0) * scale), jnp.inf)


def scale_of(diagonal: Array) -> Array:
    """Return the units in which the information has the diagonal +-1, (k,)."""
    size = jnp.abs(diagonal)
    return jnp.sqrt(jnp.where((size > 0) & jnp.isfinite(size), size, 1.0))


def scaled_product(objective: Objective, point: Array, units: Array) -> Callable[[Array], Array]:
    """Return the product of the scaled Hessian with a vector: about two gradients."""
    _, push = jax.linearize(lambda at: objective.with_gradient(at).gradient, point)
    return lambda vector: push(vector / units) / units


def is_sound_nearby(objective: Objective, here: Evaluation, certificate: Certificate, scale: Array | float) -> Array:
    """Say whether the information is the curvature of the log-likelihood in a smaller neighborhood, bool scalar."""
    signs = jnp.concatenate([certificate.signs, jnp.sign(certificate.diagonal)])

    def bends(probe: Array | float) -> Array:
        falls = falls_over(objective, here, both_sides(certificate, probe), scale)
        single = _falls_of_coordinates(objective, here, certificate.diagonal, probe, scale)
        few = bends_of(falls, certificate.signs, probe)
        return jnp.concatenate([few, bends_of(single, jnp.sign(certificate.diagonal), probe)])

    return agree_nearby(bends, signs, noise(here, scale))


def _curvature(objective: Objective, here: Evaluation, scale: Array | float) -> tuple[Certificate, Array]:
    """Return the certificate without what takes evaluations beside the point, and a move in which all take part."""
    dtype, size = here.point.dtype, here.point.size
    diagonal = objective.diagonal(here.point)
    units, floor = scale_of(diagonal), rounding_floor(size, dtype)
    product = scaled_product(objective, here.point, units)
    lowest = lowest_eigenvalues(product, size, dtype, floor=floor)
    slope = here.gradient / units
    # Directions without information, or of negative curvature, are left out of the equations.
    null = jnp.where(lowest.values <= floor, lowest.vectors, 0.0)
    beside = lambda vector: vector - null @ (null.T @ vector)  # noqa: E731
    solved = solve_by_products(lambda vector: beside(product(vector)), beside(slope))
    across = lowest.root / units
    bend = lowest.root @ product(lowest.root) * scale
    across = PROBE * across / jnp.sqrt(jnp.where(bend > 0, bend, 1.0))
    information = to_information(diagonal, scale)
    return _put_together(lowest, solved, slope, null, units, information, scale), jnp.where(bend > 0, across, 0.0)


def _put_together(
    lowest: Lowest, solved: Solved, slope: Array, null: Array, units: Array, diagonal: Array, scale: Array | float
) -> Certificate:
    dtype, floor = slope.dtype, rounding_floor(slope.size, slope.dtype)
    inside = null.T @ slope
    energy = jnp.maximum((slope - null @ inside) @ solved.solution, 0.0)
    least = jnp.min(jnp.where(lowest.values > floor, lowest.values - lowest.error, 1.0))
    lacking = jnp.sum(solved.residual**2) / jnp.maximum(least, floor)
    length = jnp.sqrt(energy * scale)
    sizes = jnp.maximum(jnp.abs(lowest.values), floor)
    directions = lowest.vectors / units[:, None] / jnp.sqrt(sizes * scale)
    bent = solved.bent & (solved.curvature < -floor)
    curved = jnp.where(bent, solved.curvature, -1.0)
    downward = solved.direction / jnp.sqrt(jnp.sum(solved.direction**2) * jnp.abs(curved) * scale) / units
    weakest = jnp.where(bent & (curved < lowest.values[0]), downward, directions[:, 0])
    unknown = jnp.asarray(jnp.inf, dtype)
    still = jnp.zeros_like(slope)
    parts = jnp.abs(null) > SHARE * jnp.maximum(jnp.max(jnp.abs(null), axis=0), jnp.finfo(dtype).tiny)
    return Certificate(
        decrement=jnp.sqrt((energy + lacking + jnp.sum(inside**2) / floor) * scale),
        smallest_eigenvalue=jnp.where(bent, jnp.minimum(curved, lowest.values[0]), lowest.values[0]),
        error=lowest.error,
        drop=unknown,
        information=jnp.zeros(NOT_FORMED, dtype),
        diagonal=diagonal,
        step=-(solved.solution + null @ (inside / floor)) / units,
        uphill=-solved.solution / units / jnp.where(length > 0, length, 1.0),
        uphill_drop=unknown,
        weakest=weakest,
        sound=jnp.asarray(True),
        unsound=weakest,
        fading=jnp.zeros(slope.size, bool),
        informed_decrement=length,
        directions=directions,
        signs=jnp.where(jnp.abs(lowest.values) > floor, jnp.sign(lowest.values), 0.0),
        flat=jnp.asarray(False),
        undetermined=jnp.any(parts, axis=1),
        rise=-unknown,
        higher=still,
        growth=jnp.zeros_like(length),
    )


def _along_coordinates(objective: Objective, here: Evaluation, found: Certificate, scale: Array | float) -> Certificate:
    """Look along every coordinate both ways whether the curvature is what the information says."""
    signs, size = jnp.sign(found.diagonal), here.point.size
    falls = _falls_of_coordinates(objective, here, found.diagonal, PROBE, scale)
    mismatch = mismatch_of(bends_of(falls, signs, PROBE), signs)
    wrong = (mismatch > jnp.log(FACTOR)) & (noise(here, scale) <= 0.1 * PROBE**2)
    worst, highest = jnp.argmax(mismatch), jnp.argmin(falls)
    lengths = _lengths(found.diagonal)
    single = lambda i, length: jnp.zeros_like(here.point).at[i].set(length)  # noqa: E731
    up = PROBE * jnp.where(highest < size, 1.0, -1.0) * lengths[highest % size]
    higher = -falls[highest] > found.rise
    return found._replace(
        sound=found.sound & ~jnp.any(wrong),
        unsound=jnp.where(jnp.any(wrong), single(worst, lengths[worst]), found.unsound),
        fading=wrong | _fading_beside(objective, here, found, wrong, scale),
        rise=jnp.where(higher, -falls[highest], found.rise),
        higher=jnp.where(higher, single(highest % size, up), found.higher),
    )


def _fading_beside(
    objective: Objective, here: Evaluation, found: Certificate, wrong: Array, scale: Array | float
) -> Array:
    """Say which coordinates take part in a direction that differs, some wrong coordinates left out of it, bool (k,).

    Where many eigenvalues are about alike, any mixture of their vectors may come along, and one coordinate in it that
    differs is no reason to doubt the others.
    """
    rest = jnp.where(wrong[:, None], 0.0, found.directions)
    _, push = jax.linearize(lambda at: objective.with_gradient(at).gradient, here.point)
    said = scale * jnp.sum(rest * jax.vmap(push, in_axes=1, out_axes=1)(rest), axis=0)
    falls = falls_over(objective, here, both_sides(found._replace(directions=rest), PROBE), scale)
    enough = jnp.abs(said) > SHARE**2  # of a direction, for which it was 1
    measured = bends_of(falls, jnp.sign(said), PROBE) / jnp.where(enough, jnp.abs(said), 1.0)
    differs = (mismatch_of(measured, found.signs) > jnp.log(FACTOR)) & (noise(here, scale) <= 0.1 * PROBE**2) & enough
    parts = jax.vmap(taking_part, in_axes=(1, None), out_axes=1)(rest, found.diagonal)
    return jnp.any(parts & differs, axis=1)


def _lengths(diagonal: Array) -> Array:
    """Return one standard error of every coordinate, the others held; 0 without information."""
    return jnp.where(diagonal != 0, 1.0 / jnp.sqrt(jnp.where(diagonal != 0, jnp.abs(diagonal), 1.0)), 0.0)


def _falls_of_coordinates(
    objective: Objective, here: Evaluation, diagonal: Array, probe: Array | float, scale: Array | float
) -> Array:
    """Return the falls over so many standard errors along the coordinates, and back, (2 k,)."""
    moves = probe * _lengths(diagonal)

    def after(move: tuple[Array, Array]) -> Array:
        i, length = move
        return objective.value(here.point.at[i].add(length))

    numbers = jnp.arange(here.point.size)
    both = jnp.concatenate([numbers, numbers]), jnp.concatenate([moves, -moves])
    heights = to_log_likelihood(jax.lax.map(after, both, batch_size=AT_ONCE), scale)
    change = to_log_likelihood(here.value, scale) - heights
    return jnp.where(jnp.isnan(change), jnp.inf, change)
