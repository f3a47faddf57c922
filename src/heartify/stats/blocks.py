"""One hospital's complete cases, and the moments that blocks add up to.

A block is checked once, here, and read-only from then on; everything behind it may rely on finite doubles and a 0/1
outcome. Moments are additive (Chan, Golub, LeVeque 1983), so a hospital's rows may come in parts. Nothing here prints
or quotes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from heartify.stats.errors import InvalidBlockError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CohortBlock:
    """Hold one hospital's complete cases: X (n, p) of finite doubles in clinical units, y (n,) of zeros and ones.

    The arrays become read-only, C-contiguous float64. Has no repr of its fields: a log must not show a row.

    Raises:
        InvalidBlockError: a shape, a type, a missing or infinite value, an outcome that is not 0/1, an empty block.
    """

    name: str
    X: FloatArray
    y: FloatArray

    def __post_init__(self) -> None:
        X = _as_frozen_doubles(self.X, f"X of block {self.name!r}")
        y = _as_frozen_doubles(self.y, f"y of block {self.name!r}")
        if not self.name:
            raise InvalidBlockError("a block needs a name")
        if X.ndim != 2 or y.ndim != 1 or X.shape[0] != y.shape[0]:
            raise InvalidBlockError(f"block {self.name!r}: expected X (n, p) and y (n,), got {X.shape} and {y.shape}")
        if y.size == 0:
            raise InvalidBlockError(f"block {self.name!r} has no rows")
        if not np.isfinite(X).all():
            raise InvalidBlockError(f"block {self.name!r}: X has missing or infinite values")
        if not np.isin(y, (0.0, 1.0)).all():
            raise InvalidBlockError(f"block {self.name!r}: y has values other than 0 and 1")
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "y", y)

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.y.size)

    @property
    def events(self) -> int:
        """Return the number of rows whose outcome is 1."""
        return int(self.y.sum())


def _as_frozen_doubles(values: object, what: str) -> FloatArray:
    try:
        array = np.array(values, dtype=np.float64, order="C", copy=True)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"{what} does not hold numbers ({type(exc).__name__})") from None
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Moments:
    """Hold the count, the column means (p,) and the sums of squared deviations (p,) of some rows; they add up."""

    n: int
    mean: FloatArray
    squares: FloatArray

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.n / n)
        return Moments(n, mean, self.squares + other.squares + shift**2 * (self.n * other.n / n))

    @property
    def sd(self) -> FloatArray:
        """Return the sample standard deviations (p,), divisor n - 1; zero for a single row."""
        return np.sqrt(self.squares / max(self.n - 1, 1))


def block_moments(X: FloatArray) -> Moments:
    """Return the moments of the columns of X (n, p), in two passes."""
    mean = X.mean(axis=0)
    deviations = X - mean
    return Moments(X.shape[0], mean, np.einsum("ij,ij->j", deviations, deviations))


def pooled_moments(blocks: Sequence[CohortBlock]) -> Moments:
    """Return the moments of all rows of all blocks, added block by block in the given order."""
    return reduce(Moments.__add__, (block_moments(block.X) for block in blocks))


def pooled_sd(blocks: Sequence[CohortBlock]) -> FloatArray:
    """Return the sample SD (p,) of every column over the pooled complete cases, divisor n - 1, in clinical units.

    Raises:
        InvalidBlockError: no blocks, blocks of unequal width, or two blocks of one name.
    """
    check_blocks(blocks)
    return pooled_moments(blocks).sd


def check_blocks(blocks: Sequence[CohortBlock]) -> None:
    """Check that blocks can be pooled.

    Raises:
        InvalidBlockError: no blocks, blocks of unequal width, or two blocks of one name (which would silently share
            or lose a hospital's intercept).
    """
    if not blocks:
        raise InvalidBlockError("expected at least one block, got none")
    if len({block.X.shape[1] for block in blocks}) != 1:
        raise InvalidBlockError("blocks differ in their number of columns")
    if len({block.name for block in blocks}) != len(blocks):
        raise InvalidBlockError("two blocks have the same name")
