"""The stratified logistic likelihood of several hospitals' chunked rows, summed by an ordered map over their chunks.

Parameters are one intercept a hospital, then the slopes of the centred terms, as in the fit of blocks in memory. Sums
stay separate by hospital until the last addition, so one pass serves pooling and comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import DTypeLike

from heartify.stats.blocks import FloatArray, Moments
from heartify.stats.likelihood import LikelihoodSums, empty_sums
from heartify.stats.separation import check_direction
from heartify.stats.streaming.kernel import (
    Centring,
    RowSums,
    Workspace,
    checked_chunk_sums,
    chunk_likelihood,
    chunk_margins,
    empty_row_sums,
)
from heartify.stats.streaming.ordered_map import OrderedMap
from heartify.stats.streaming.rows import ChunkedRows, load_checked

Task = tuple[int, int]  # hospital, chunk


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamedLikelihood:
    """The likelihood of `sources` in `centring`ed terms, worked out in `precision` (float32 or float64)."""

    sources: Sequence[ChunkedRows]
    centring: Centring
    precision: DTypeLike
    apply: OrderedMap
    idle: list[Workspace] = field(default_factory=list, init=False)

    @property
    def hospitals(self) -> int:
        """The number of sources."""
        return len(self.sources)

    @property
    def p(self) -> int:
        """The number of terms."""
        return self.centring.shift.size

    def representable(self, parameters: FloatArray) -> FloatArray:
        """Return the nearest parameters that the working precision holds, so that sums are at exactly these."""
        return parameters.astype(self.precision).astype(np.float64)

    def sums(self, parameters: FloatArray, stride: int = 1, weights: Sequence[float] | None = None) -> LikelihoodSums:
        """Return the pooled sums at `parameters` (hospitals + p,), over every `stride`-th chunk of each hospital.

        `weights` multiply each hospital's sums: where they stand for more rows than they were taken over.
        """

        def one(task: Task) -> LikelihoodSums:
            chunk = load_checked(self.sources[task[0]], task[1], self.p)
            with self._workspace() as work:
                return chunk_likelihood(chunk, self.centring, self._own(parameters, task[0]), work)

        tasks = self._tasks(stride)
        totals = self._by_hospital(tasks, self.apply(one, tasks))
        return self._pool(totals if weights is None else list(map(_weighted, totals, weights)))

    def checked_sums(self, parameters: FloatArray) -> tuple[LikelihoodSums, tuple[RowSums, ...]]:
        """Return the pooled sums and each hospital's row sums, from one pass over all chunks that checks the values.

        Raises:
            InvalidBlockError: the values are not finite, or the outcome is not 0/1.
        """

        def one(task: Task) -> tuple[LikelihoodSums, RowSums]:
            chunk = load_checked(self.sources[task[0]], task[1], self.p)
            with self._workspace() as work:
                return checked_chunk_sums(chunk, self.centring, self._own(parameters, task[0]), work)

        tasks = self._tasks(1)
        parts = self.apply(one, tasks)
        rows = [empty_row_sums(self.p)] * self.hospitals
        for task, (_, row_sums) in zip(tasks, parts, strict=True):
            rows[task[0]] = rows[task[0]] + row_sums
        return self._pool(self._by_hospital(tasks, [sums for sums, _ in parts])), tuple(rows)

    def check_direction(self, step: FloatArray) -> None:
        """Check in one pass that `step` (hospitals + p,) does not separate the outcome.

        Raises:
            SeparationError: no margin is negative, beyond rounding, and at least one is positive.
        """

        def one(task: Task) -> tuple[float, float]:
            chunk = load_checked(self.sources[task[0]], task[1], self.p)
            with self._workspace() as work:
                return chunk_margins(chunk, self.centring, self._own(step, task[0]), work)

        check_direction([np.array(margins) for margins in self.apply(one, self._tasks(1))])

    def moments(self, rows: RowSums) -> Moments:
        """Return the moments in clinical units of some rows, of which there is at least one."""
        mean = rows.total / rows.n
        squares = np.maximum(rows.squares - rows.n * mean**2, 0.0)
        scale = self.centring.scale
        return Moments(rows.n, self.centring.shift + scale * mean, scale**2 * squares)

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        # Popping and appending are atomic; there are never more of them than threads.
        try:
            work = self.idle.pop()
        except IndexError:
            work = Workspace(1 + self.p, self.precision)
        yield work
        self.idle.append(work)

    def _own(self, parameters: FloatArray, hospital: int) -> FloatArray:
        return np.concatenate(([parameters[hospital]], parameters[self.hospitals :]))

    def _tasks(self, stride: int) -> list[Task]:
        # From the middle of a stride: first and last chunks may be the odd ones, of a hospital's early or late days.
        return [
            (hospital, chunk)
            for hospital, source in enumerate(self.sources)
            for chunk in range(min(stride // 2, source.chunks - 1), source.chunks, stride)
        ]

    def _by_hospital(self, tasks: Sequence[Task], parts: Sequence[LikelihoodSums]) -> list[LikelihoodSums]:
        totals = [empty_sums(1 + self.p) for _ in self.sources]
        for (hospital, _), part in zip(tasks, parts, strict=True):
            totals[hospital] = totals[hospital] + part
        return totals

    def _pool(self, totals: Sequence[LikelihoodSums]) -> LikelihoodSums:
        return reduce(LikelihoodSums.__add__, (self._scatter(h, part) for h, part in enumerate(totals)))

    def _scatter(self, hospital: int, part: LikelihoodSums) -> LikelihoodSums:
        q = self.hospitals + self.p
        own = np.concatenate(([hospital], np.arange(self.hospitals, q)))
        wide = empty_sums(q)
        wide.gradient[own] = part.gradient
        wide.information[np.ix_(own, own)] = part.information
        return LikelihoodSums(part.loglik, wide.gradient, wide.information)


def _weighted(sums: LikelihoodSums, weight: float) -> LikelihoodSums:
    return LikelihoodSums(sums.loglik * weight, sums.gradient * weight, sums.information * weight)
