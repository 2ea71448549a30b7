"""How a workload is declared: its data, contenders, reference answer, targets, and what it costs at least."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ROLES = ("ours", "bound", "peer")
"""Ours; plain JAX written by hand for this one problem, as the bound of what is possible; others."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the work.

    Args:
        name: for the table, unique within the workload.
        role: one of `ROLES`. The first contender that is ours is the one that all are compared with.
        prepare: ``prepare(data) -> call``: the set-up, which is not timed (imports, arrays to the device). ``call()``
            does the work and returns the answer; it is timed until the answer is there. A dict may hold beside the
            answer, for every lane, whether it ``"converged"`` and after how many ``"steps"``: reported, not judged.
            ``call()`` may return `Measured` where only a part of what it does counts.
        needs: packages (import names) that it takes beside ours; where one is absent, so is the contender.
        device: "jax" for the device of the run, "cpu" for what computes on the CPU in any case.
        units: how many units of the work it does, for peers that would take minutes; its times are scaled up to all.
        tolerance: replaces the tolerance of the workload where the method promises less.
        own_process: whether every call starts a process of its own, and the answer is a dict whose ``"peak_bytes"`` is
            the most memory that this process held.
        note: one sentence below the table.
    """

    name: str
    role: str
    prepare: Callable[[Any], Callable[[], Any]]
    needs: tuple[str, ...] = ()
    device: str = "jax"
    units: int | None = None
    tolerance: float | None = None
    own_process: bool = False
    note: str = ""

    def share(self, work: int) -> float:
        """Return the part of the work that it does."""
        return 1.0 if self.units is None else min(self.units, work) / work

    def absent(self) -> tuple[str, ...]:
        """Return the packages that it needs and that are not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What should come out, to be held against what does.

    Args:
        text: the target in words.
        fast: name of the contender that it is about.
        slow: names of the contenders that it is compared with, the fastest of them counts; none for a limit in seconds.
        at_least: the smallest ratio of the median times, slow to fast.
        at_most: the largest ratio of the median times, fast to slow.
        within: the most seconds, median.
    """

    text: str
    fast: str
    slow: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The least that has to be moved and computed for the whole work, by a stated formula.

    Args:
        bytes: moved between memory and processor: every number of the data once, whatever is done with it after that.
        flops: additions, multiplications and divisions, one each.
        exps: exponentials and logarithms.
        text: the formula in words.
    """

    bytes: float
    flops: float
    exps: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure that others have published, for what cannot be measured here; never mixed with what is measured.

    Args:
        name: whose.
        rate: units of work a second.
        source: where it stands, and for which machine and task.
    """

    name: str
    rate: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One problem and all who solve it.

    Args:
        name: unique; for the command line and the JSON.
        suite: the suite that it belongs to.
        title: one line: what is done; the sizes are filled in, as in ``"{n} rows"``.
        generate: ``generate(**size) -> data``, seeded; NumPy arrays on the host.
        size: sizes of a real run.
        quick: sizes for `--quick`, which shows that everything runs and nothing else.
        reference: ``reference(data) -> answer``, from a method to be trusted, however slow.
        discrepancy: ``discrepancy(answer, reference) -> float``, how far an answer is from the reference.
        tolerance: the largest discrepancy of a right answer.
        contenders: who takes part, in the order of the table.
        measure: what the discrepancy is, in words.
        work: how many units of work one run does, from the size; None where there is one.
        unit: what is counted, e.g. "fits".
        targets: what should come out.
        counts: ``counts(size, reference) -> Counts``, to say how near to the device's limits everybody comes.
        published: figures of others.
    """

    name: str
    suite: str
    title: str
    generate: Callable[..., Any]
    size: Mapping[str, int]
    quick: Mapping[str, int]
    reference: Callable[[Any], Any]
    discrepancy: Callable[[Any, Any], float]
    tolerance: float
    contenders: tuple[Contender, ...]
    measure: str
    work: Callable[[Mapping[str, int]], int] | None = None
    unit: str = "runs"
    targets: tuple[Target, ...] = field(default=())
    counts: Callable[[Mapping[str, int], Any], Counts] | None = None
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would only show after an hour of measuring."""
        names = [contender.name for contender in self.contenders]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two contenders have one name ({', '.join(names)})")
        roles = [contender.role for contender in self.contenders]
        if "ours" not in roles or not set(roles) <= set(ROLES):
            raise ValueError(f"{self.name}: the roles are {', '.join(roles)}; one must be 'ours', all among {ROLES}")
        about = {name for target in self.targets for name in (target.fast, *target.slow)}
        if not about <= set(names):
            raise ValueError(f"{self.name}: a target is about {', '.join(sorted(about - set(names)))}, no contender")

    @property
    def base(self) -> str:
        """The contender that all are compared with."""
        return next(contender.name for contender in self.contenders if contender.role == "ours")

    def amount(self, size: Mapping[str, int]) -> int:
        """Return the units of work in one run."""
        return 1 if self.work is None else self.work(size)

    def sizes(self, *, quick: bool) -> dict[str, int]:
        """Return the sizes of the run."""
        return dict(self.quick if quick else self.size)
