"""A fit brought back to its rows: the passes over each stratum at the fitted coefficients.

Residuals, robust variances, the baseline and the proportional-hazards test need the rows again, which a CoxFit does not
keep: the caller gives the same blocks. Everything here is row-level and stays inside the enclave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.survival.blocks import SurvivalSource
from heartify.stats.survival.cox import CoxFit
from heartify.stats.survival.cox_sums import RiskPass, event_chunk, start_passes
from heartify.stats.survival.design import Design, build_design


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FittedRows:
    """Hold the design of a fit's rows and its passes, one a stratum with events, at the fitted coefficients."""

    design: Design
    passes: tuple[RiskPass, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RiskSetMeans:
    """Hold, per event time of a stratum, what its events l = 0..d-1 make of the risk set's means a_l = S1_l / S0_l.

    Standardised units. `mean` (p, K): mean of a_l, Schoenfeld's expectation; `hazard` (p, K): sum a_l / S0_l; `shared`
    (p, K): sum f_l a_l / S0_l, with f_l = l / d under Efron's ties and 0 under Breslow's.
    """

    mean: FloatArray
    hazard: FloatArray
    shared: FloatArray


def fitted_rows(fit: CoxFit, sources: Sequence[SurvivalSource]) -> FittedRows:
    """Return the rows of a fit at its coefficients.

    Raises:
        InvalidBlockError: these are not the blocks of the fit, or its coefficients overflow on them.
    """
    if {source.name: source.n for source in sources} != fit.n_by_block:
        raise InvalidBlockError("these blocks are not those of the fit")
    design = build_design(sources, fit.term_names, fit.baseline)
    passes = [part for part in start_passes(design.strata, fit.coef * design.scale, fit.ties) if part is not None]
    if len(passes) != fit.strata:
        raise InvalidBlockError("these blocks are not those of the fit")
    return FittedRows(design, tuple(passes))


def risk_set_means(part: RiskPass) -> RiskSetMeans:
    """Return the means of the covariates over the risk sets of a stratum's event times."""
    hazard, sets = part.hazard, part.stratum.sets
    chunks = [event_chunk(part, number) for number in range(len(part.after))]
    excess = np.concatenate([piece.excess for piece in chunks], axis=1)
    centre = np.zeros_like(excess)
    centre[:, part.tied] = part.tied_mean
    return RiskSetMeans(
        mean=centre + excess * (hazard.relative / sets.deaths),
        hazard=(centre * hazard.relative + excess * hazard.square) / hazard.S0,
        shared=(centre * hazard.shared + excess * hazard.shared_square) / hazard.S0,
    )


def split_by_block(values: FloatArray, sources: Sequence[SurvivalSource]) -> tuple[FloatArray, ...]:
    """Return values (n, ...) of all rows as one array per block."""
    return tuple(np.split(values, np.cumsum([source.n for source in sources])[:-1]))
