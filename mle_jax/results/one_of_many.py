"""One dataset of a batch as a single fit, wherever its numbers are kept."""

from dataclasses import replace
from typing import Any

from mle_jax.results.fit_object import Fit
from mle_jax.results.group_fits import one_group
from mle_jax.results.guards import checked_lane
from mle_jax.results.lanes import one_lane
from mle_jax.results.stored import stored_lane


def one_dataset(fits: Fit, lane: Any) -> Fit:
    """Return the fit of one dataset.

    Raises:
        IndexError: there is no such dataset.
        TypeError: the lane is not a whole number.
    """
    lane = checked_lane(lane, len(fits))
    if fits._record.matrix is not None:
        return stored_lane(fits, lane)
    if fits.buckets is not None:
        return one_group(fits, lane)
    one, rung = one_lane(fits, lane), fits._record.settled_by.get(lane)
    return one if rung is None else replace(one, _record=replace(one._record, optimizer=f"refit, by {rung}"))
