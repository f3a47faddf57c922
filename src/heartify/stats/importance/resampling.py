"""The bootstrap of patients within hospitals, by case weights: how a statistic would vary from cohort to cohort.

Each replicate draws as many patients from every hospital as it has, with replacement; how often each was drawn is its
case weight, so that no row is copied. A replicate without an estimate is counted by its reason, and never redrawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, NotConvergedError, StatsError

Statistic = Callable[[Sequence[FloatArray]], FloatArray]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BootstrapDraws:
    """Estimates (B', m) of the replicates that gave one, of B asked for, and how many failed by error class."""

    estimates: FloatArray
    replicates: int
    failures: tuple[tuple[str, int], ...]

    @property
    def failed(self) -> int:
        """Return the number of replicates without an estimate."""
        return sum(count for _, count in self.failures)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BootstrapSummary:
    """An estimate (m,), its bootstrap SE (m,) and percentile interval (m,), over `used` of `replicates`."""

    estimate: FloatArray
    se: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    level: float
    used: int
    replicates: int
    failures: tuple[tuple[str, int], ...]


def draw_weights(rows: Sequence[int], rng: np.random.Generator) -> list[FloatArray]:
    """Return one array of case weights (n_h,) per hospital: how often each of its n_h patients is drawn."""
    return [np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64) for n in rows]


def bootstrap(rows: Sequence[int], statistic: Statistic, replicates: int, rng: np.random.Generator) -> BootstrapDraws:
    """Call `statistic` with the case weights of each replicate; a StatsError from it counts as a failure.

    `rows` are the hospitals' numbers of patients; `statistic` returns (m,) finite values.

    Raises:
        InvalidBlockError: no hospital, an empty hospital, or fewer than two replicates.
        NotConvergedError: fewer than two replicates gave an estimate.
    """
    if not rows or min(rows) < 1 or replicates < 2:
        raise InvalidBlockError("a bootstrap needs patients in every hospital, and at least two replicates")
    estimates, failures = [], Counter[str]()
    for _ in range(replicates):
        weights = draw_weights(rows, rng)
        try:
            found = statistic(weights)
        except StatsError as exc:
            failures[type(exc).__name__] += 1
            continue
        if np.isfinite(found).all():
            estimates.append(found)
        else:
            failures["NotFinite"] += 1
    if len(estimates) < 2:
        raise NotConvergedError("fewer than two bootstrap replicates have an estimate")
    return BootstrapDraws(np.array(estimates), replicates, tuple(sorted(failures.items())))


def summarise(
    draws: BootstrapDraws, estimate: FloatArray, level: float = 0.95, columns: slice = slice(None)
) -> BootstrapSummary:
    """Return SE (divisor B' - 1) and percentile interval of some columns of the draws, beside the estimate itself.

    Quantiles are those of type 6 (Hyndman and Fan 1996), as the percentile interval of B draws asks for.

    Raises:
        InvalidBlockError: the level is not between 0 and 1, or the estimate has another length than the draws.
    """
    chosen = draws.estimates[:, columns]
    if not 0.0 < level < 1.0 or estimate.shape != chosen.shape[1:]:
        raise InvalidBlockError("a level lies between 0 and 1, and there is one estimate per column of the draws")
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(chosen, [tail, 1.0 - tail], axis=0, method="weibull")
    se = chosen.std(axis=0, ddof=1)
    return BootstrapSummary(estimate, se, low, high, level, chosen.shape[0], draws.replicates, draws.failures)
