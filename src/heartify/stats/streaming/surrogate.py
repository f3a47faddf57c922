"""What a sample knows of the likelihood beyond its quadratic: a step of high order from one pass over all rows.

Gradient and information of all rows at a point fix a quadratic; the rest of the likelihood's shape is taken from the
sample, weighted to each hospital's rows. The maximum of the two together lies far nearer to that of all rows than
Newton's step does, and two halves of the sample tell how far off it still is (Jordan, Lee and Yang 2019, J Am Stat
Assoc 114:668, with the information of all rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.newton import solve_information
from heartify.stats.streaming.kernel import Centring
from heartify.stats.streaming.likelihood import StreamedLikelihood
from heartify.stats.streaming.ordered_map import OrderedMap
from heartify.stats.streaming.rows import ArrayRows

MAX_STEPS = 25
SETTLED = 1e-9  # standard errors


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurrogateStep:
    """Hold the step (q,) to the surrogate's maximum and what is there: log-likelihood and information (q, q).

    `error` is the step's probable error, and `length` its length, in standard errors. `newton` (q,) is Newton's step.
    `settled` tells whether the surrogate's maximum was found.
    """

    step: FloatArray
    newton: FloatArray
    length: float
    error: float
    loglik: float
    information: FloatArray
    settled: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Surrogate:
    """The two halves of a sample of every hospital, each weighted to stand for all rows."""

    halves: tuple[StreamedLikelihood, StreamedLikelihood]
    weights: tuple[tuple[float, ...], tuple[float, ...]]

    def step_from(self, point: FloatArray, sums: LikelihoodSums) -> SurrogateStep:
        """Return the step from `point` (q,), where all rows have these sums.

        Raises:
            LinAlgError: the information is singular.
        """
        here = self._sums(point)
        newton = solve_information(sums.information, sums.gradient)
        step, change = newton, np.inf
        for _ in range(MAX_STEPS):
            rests = self._rests(here, point, step)
            following = newton + solve_information(sums.information, (rests[0] + rests[1]) / 2.0)
            change, step = _length(following - step, sums.information), following
            if change <= SETTLED:
                break
        error = _length(solve_information(sums.information, (rests[0] - rests[1]) / 2.0), sums.information)
        pairs = list(zip(self._sums(point + step), here, strict=True))
        bent = np.sum([after.information - before.information for after, before in pairs], axis=0) / 2.0
        gain = (
            _quadratic_gain(sums, step)
            + sum(after.loglik - before.loglik - _quadratic_gain(before, step) for after, before in pairs) / 2.0
        )
        return SurrogateStep(
            step=step,
            newton=newton,
            length=_length(step, sums.information),
            error=error,
            loglik=sums.loglik + gain,
            information=sums.information + bent,
            settled=change <= SETTLED,
        )

    def _sums(self, at: FloatArray) -> list[LikelihoodSums]:
        return [half.sums(at, weights=weights) for half, weights in zip(self.halves, self.weights, strict=True)]

    def _rests(self, here: Sequence[LikelihoodSums], point: FloatArray, step: FloatArray) -> list[FloatArray]:
        """Return each half's gradient a step away, less what its quadratic at the point foretells."""
        there = self._sums(point + step)
        return [
            after.gradient - before.gradient + before.information @ step
            for after, before in zip(there, here, strict=True)
        ]


def build_surrogate(
    sources: Sequence[ArrayRows], centring: Centring, apply: OrderedMap, rows: Sequence[int]
) -> Surrogate | None:
    """Return the surrogate of a sample, `rows` being the rows of each hospital; None where the sample has but one."""
    if any(source.n < 2 for source in sources):
        return None
    halves, weights = [], []
    for first in (0, 1):
        own = [source.half(first) for source in sources]
        halves.append(StreamedLikelihood(own, centring, np.float64, apply))
        weights.append(tuple(n / half.n for n, half in zip(rows, own, strict=True)))
    return Surrogate((halves[0], halves[1]), (weights[0], weights[1]))


def _length(step: FloatArray, information: FloatArray) -> float:
    """Return the length of a step in standard errors."""
    return float(np.sqrt(max(0.0, float(step @ information @ step))))


def _quadratic_gain(sums: LikelihoodSums, step: FloatArray) -> float:
    """Return what the quadratic at a point promises for a step."""
    return float(sums.gradient @ step - step @ sums.information @ step / 2.0)
