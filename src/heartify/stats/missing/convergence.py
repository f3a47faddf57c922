"""Whether chains of imputations have mixed: means and SDs of what was imputed, by iteration, and their R-hat.

Gelman and Rubin 1992 (Stat Sci 7:457) over the second half of the iterations: near 1 when chains agree; a value well
above 1.1 with a trend in the means asks for more iterations (van Buuren 2018, section 6.5.2). Holds no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChainTrace:
    """Hold mean and sd (iterations, k) of the imputed values of k incomplete columns, of codes where categorical.

    The SD has divisor n - 1 and is nan for a column with one missing value.
    """

    names: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Convergence:
    """Hold mean and sd (chains, iterations, k) of the imputed values, and R-hat (k,) of each.

    R-hat is nan where chains stand still, or with fewer than two chains or four iterations.
    """

    names: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    mean_rhat: FloatArray
    sd_rhat: FloatArray


def summarise_chains(traces: Sequence[ChainTrace]) -> Convergence:
    """Return the traces of all chains side by side, with their R-hat.

    Raises:
        InvalidBlockError: no traces, or traces of different columns or lengths.
    """
    if not traces or len({(trace.names, trace.mean.shape) for trace in traces}) != 1:
        raise InvalidBlockError("expected traces of the same columns and iterations")
    mean, sd = np.stack([trace.mean for trace in traces]), np.stack([trace.sd for trace in traces])
    return Convergence(traces[0].names, mean, sd, rhat(mean), rhat(sd))


def rhat(chains: FloatArray) -> FloatArray:
    """Return the potential scale reduction (k,) of chains (m, iterations, k), over the second half of iterations."""
    half = chains[:, chains.shape[1] // 2 :]
    m, t, k = half.shape
    if m < 2 or t < 2:
        return np.full(k, np.nan)
    within = half.var(axis=1, ddof=1).mean(axis=0)
    between = half.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.sqrt((t - 1) / t + between / within)
    return np.where(within > 0.0, ratio, np.nan)
