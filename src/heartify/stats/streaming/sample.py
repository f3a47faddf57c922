"""A small sample of chunked rows in memory: where to start, in which units, and a proof that a maximum exists.

If the sample's design has full rank and its outcome is not separated, then the same holds for all rows, of which it is
a part: a direction that separates all rows would separate the sample's too, or leave them all on a plane. So a sample
with a finite maximum spares the passes that would look for these faults in all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, pooled_moments
from heartify.stats.errors import InvalidBlockError
from heartify.stats.streaming.kernel import Centring
from heartify.stats.streaming.ordered_map import OrderedMap
from heartify.stats.streaming.rows import ArrayRows, ChunkedRows, load_checked

SAMPLE_ROWS = 32_768  # of all hospitals: at 20 terms in double, 5 MB
SAMPLE_CHUNKS = 8  # of one hospital
ORDINARY_SCALES = 1e-3, 1e3  # within, the sums of squares of many rows are far from the limits of single precision
NEAR_ZERO = 4.0  # standard deviations: a mean as near needs no centring, which spares a pass over 0/1 columns


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sample:
    """Hold the sampled rows of each hospital that has any, a centring by their means, and if they are all rows."""

    sources: tuple[ArrayRows, ...]
    centring: Centring
    complete: bool


def draw_sample(sources: Sequence[ChunkedRows], p: int, apply: OrderedMap) -> Sample:
    """Take evenly spread rows of evenly spread chunks of every hospital; without randomness, so always the same.

    Raises:
        InvalidBlockError: a chunk has a wrong shape or impossible values, or no chunk that was looked at has a row.
    """
    tasks = [
        (hospital, int(chunk))
        for hospital, source in enumerate(sources)
        for chunk in np.linspace(0, source.chunks - 1, min(source.chunks, SAMPLE_CHUNKS)).round()
    ]
    allowance = max(1, SAMPLE_ROWS // len(tasks))

    def one(task: tuple[int, int]) -> tuple[FloatArray, FloatArray, int]:
        columns, y = load_checked(sources[task[0]], task[1], p)
        step = max(1, -(-y.size // allowance))
        X = np.empty((y[::step].size, p))
        for j, column in enumerate(columns):
            X[:, j] = column[::step]
        return X, y[::step].astype(np.float64), step

    parts = apply(one, tasks)
    found = []
    for hospital, source in enumerate(sources):
        own = [part for task, part in zip(tasks, parts, strict=True) if task[0] == hospital and part[1].size]
        if own:
            found.append(
                CohortBlock(source.name, np.concatenate([o[0] for o in own]), np.concatenate([o[1] for o in own]))
            )
    if not found:
        raise InvalidBlockError("the sources have no rows")
    whole = sum(source.chunks for source in sources) == len(tasks) and all(step == 1 for _, _, step in parts)
    complete = whole and len(found) == len(sources)
    return Sample(tuple(ArrayRows(block) for block in found), _centring(found), complete)


def _centring(blocks: Sequence[CohortBlock]) -> Centring:
    moments = pooled_moments(blocks)
    low, high = ORDINARY_SCALES
    ordinary = ((low <= moments.sd) & (moments.sd <= high)) | (moments.sd == 0.0)
    near_zero = np.abs(moments.mean) <= NEAR_ZERO * moments.sd
    return Centring(np.where(near_zero, 0.0, moments.mean), np.where(ordinary, 1.0, moments.sd))
