"""The words that every optimizer speaks: a frozen configuration with `init` and `step`, and a state it carries."""

from typing import Any, Protocol, TypeVar

from jax import Array

from mle_jax._objective import Evaluation, Objective


class State(Protocol):
    """What an optimizer carries from step to step; everything but the evaluation is its own business."""

    @property
    def evaluation(self) -> Evaluation:
        """The objective at the present point."""
        ...


S = TypeVar("S", bound=State)


class Optimizer(Protocol[S]):
    """An algorithm: how to begin, and how to take one step. The loop is not its business.

    Attributes:
        begins_at: the number of steps that `init` has taken: 0, or -1 where it leaves the evaluation of the start to
            the first call of `step`, so that the compiled program holds one evaluation instead of two.
    """

    @property
    def begins_at(self) -> int:
        """0, or -1 where the first step is to evaluate the start."""
        ...

    def init(self, objective: Objective, point: Array) -> S:
        """Evaluate the start; where the first step is to do that, the value is infinity."""
        ...

    def step(self, objective: Objective, state: S) -> S:
        """Take one step; a step that is not accepted returns the same point."""
        ...


class Stop(Protocol):
    """A stopping rule: looks at two successive states and says whether to end the run."""

    def __call__(self, previous: Any, current: Any, /) -> Array:
        """Return a boolean scalar."""
        ...
