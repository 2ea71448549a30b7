"""All cases, file by file."""

from functools import cache

from benchmarks.gradient_checks.case import Case


@cache
def all_cases() -> tuple[Case, ...]:
    """Return the cases in order."""
    from benchmarks.gradient_checks.cases import course, grouped, matrices, regressions, samples, scales

    files = (course, regressions, samples, grouped, matrices, scales)
    return tuple(case for file in files for case in file.CASES)


def find_case(name: str) -> Case:
    """Return a case by its name."""
    return next(case for case in all_cases() if case.name == name)
