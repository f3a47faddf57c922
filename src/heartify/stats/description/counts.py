"""How many patients have each level, by group: a cross-table of two columns of codes. Pure counting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from heartify.stats.errors import InvalidBlockError

Codes = NDArray[np.int64]


def count_levels(groups: Codes, levels: Codes, shape: tuple[int, int]) -> Codes:
    """Return the counts (groups, levels) of rows by group code (n,) and level code (n,).

    Equals R's table(groups, levels) on codes from 0.

    Raises:
        InvalidBlockError: the columns differ in length, or a code is outside of the shape.
    """
    if groups.shape != levels.shape or groups.ndim != 1:
        raise InvalidBlockError("groups and levels are columns of one length")
    for codes, size in ((groups, shape[0]), (levels, shape[1])):
        if codes.size and not (codes.min() >= 0 and codes.max() < size):
            raise InvalidBlockError("a code is outside of the table")
    flat = np.bincount(groups * shape[1] + levels, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.int64)
