"""Whole numbers among what users pass."""

import math
from typing import Any

import numpy as np


def is_whole(value: Any, *, least: float = -math.inf) -> bool:
    """Say whether a value is a whole number, of Python or NumPy and no bool, of at least `least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
