"""Which rows of a dataset are summed: all from one to another, or short stretches spread over them."""

from typing import Any, NamedTuple

import jax.numpy as jnp

Number = Any
"""An int, or one that is being traced."""


class Part(NamedTuple):
    """Rows of a dataset in stretches: ``length`` of every ``step`` rows, the first at ``begin``, none from ``end`` on.

    All of them may be traced: one compiled program sums a sample and everything.
    """

    begin: Number
    end: Number
    length: Number
    step: Number

    @property
    def count(self) -> Number:
        """How many rows these are."""
        rows = self.end - self.begin
        return rows // self.step * self.length + _smaller(rows % self.step, self.length)

    def place(self, number: Number) -> Number:
        """Return where the rows of these numbers are, counted from 0."""
        return self.begin + number // self.length * self.step + number % self.length

    def blocks(self, height: int) -> Number:
        """Return how many blocks of at most so many rows there are, each within a stretch."""
        return (self.end - self.begin + self.step - 1) // self.step * self._in_stretch(height)

    def block(self, number: Number, height: int) -> tuple[Number, Number]:
        """Return the first row of a block and the one after its last; there may be none in it."""
        each = self._in_stretch(height)
        stretch = self.begin + number // each * self.step
        first = stretch + number % each * height
        return first, _smaller(_smaller(first + height, stretch + self.length), self.end)

    def _in_stretch(self, height: int) -> Number:
        return (self.length + height - 1) // height


def every_row(begin: Number, end: Number) -> Part:
    """Return the part of all rows from one to before another."""
    count = max(end - begin, 1) if isinstance(end - begin, int) else jnp.maximum(end - begin, 1)
    return Part(begin, end, count, count)


def _smaller(one: Number, other: Number) -> Number:
    return min(one, other) if isinstance(one, int) and isinstance(other, int) else jnp.minimum(one, other)
