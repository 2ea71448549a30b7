"""The workloads: a file for each (or for a few of a kind) with a tuple `WORKLOADS`, and its name in `FILES`."""

import importlib
from functools import cache

from benchmarks.frame.workload import Workload

FILES = (
    *("text_descent", "text_batch", "gradients", "poisson_batch", "least_absolute_deviations", "gamma_family"),
    *("large_regressions", "custom_likelihood", "cold_process", "lane_counts", "gaussian_peaks"),
    *("negative_binomial_batch", "laplace_batch", "stragglers", "ragged_groups"),
)


@cache
def all_workloads() -> tuple[Workload, ...]:
    """Return the workloads of all files, in order."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in FILES]
    return tuple(workload for module in modules for workload in module.WORKLOADS)


def find_workload(name: str) -> Workload:
    """Return a workload by its name."""
    return next(workload for workload in all_workloads() if workload.name == name)


def suites() -> tuple[str, ...]:
    """Return the names of the suites, in order."""
    return tuple(dict.fromkeys(workload.suite for workload in all_workloads()))
