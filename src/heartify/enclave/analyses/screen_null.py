"""The model without any candidate, as a screen needs it: logistic with hospital intercepts, or stratified Cox.

Its rows come in parts, one for each baseline: a hospital, or for Cox a stratum within one. What is known of parts is
put together by hospital, because hospitals are what people compare.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.analyses.screen_candidates import candidate_values
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.screening import (
    CandidateBlock,
    CoxNull,
    LogisticNull,
    ScreenResult,
    SurvivalStratum,
    cox_null,
    fit_null,
)
from heartify.stats.survival import CoxFit, SurvivalBlock


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Part:
    """The rows (indices into a hospital's complete cases) of one baseline."""

    name: str
    hospital: int
    rows: NDArray[np.intp]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ScreenNull:
    """The fitted null model over its parts."""

    model: LogisticNull | CoxNull
    parts: tuple[Part, ...]
    hospitals: int

    def block(self, values: Mapping[str, Sequence[Floats]]) -> CandidateBlock:
        """Return candidates, given as name → an array (n,) for each hospital, in the null's parts."""
        # Contiguous by candidate: what the kernels read fastest.
        parts = [np.array([own[part.hospital][part.rows] for own in values.values()]).T for part in self.parts]
        return CandidateBlock(tuple(values), tuple(parts))

    def load(self, data: StudyData, names: Sequence[str]) -> CandidateBlock:
        """Return the block of named candidates."""
        return self.block({name: candidate_values(data, name) for name in names})

    def by_hospital(self, found: ScreenResult) -> tuple[Floats, Floats]:
        """Return each hospital's own one-step estimates and their precisions (H, m), zero where there is none."""
        hospital_of = {part.name: part.hospital for part in self.parts}
        weighted, precision = (np.zeros((self.hospitals, len(found.names))) for _ in range(2))
        for place, name in enumerate(found.hospitals):
            own = found.hospital_precision[place]
            precision[hospital_of[name]] += own
            weighted[hospital_of[name]] += np.where(own > 0.0, own * np.nan_to_num(found.hospital_beta[place]), 0.0)
        return weighted / np.where(precision > 0.0, precision, 1.0), precision


def build_null(data: StudyData) -> ScreenNull:
    """Fit the plan's model on its complete cases, by maximum likelihood.

    Raises:
        StatsError: it has no maximum.
    """
    if data.fit.cox is not None:
        return _cox(data, data.fit.cox)
    parts = tuple(Part(block.name, h, np.arange(block.n)) for h, block in enumerate(data.blocks))
    return ScreenNull(fit_null(data.blocks, data.names), parts, len(data.blocks))


def _cox(data: StudyData, fit: CoxFit) -> ScreenNull:
    parts = [part for h, block in enumerate(data.survival) for part in _strata(h, block)]
    strata = [_stratum(part, data.survival[part.hospital]) for part in parts]
    return ScreenNull(cox_null(strata, fit.coef, data.plan.analysis.ties), tuple(parts), len(data.survival))


def _strata(hospital: int, block: SurvivalBlock) -> list[Part]:
    codes = np.zeros(block.n, np.int64) if block.stratum is None else block.stratum
    return [Part(f"{hospital}/{code}", hospital, np.flatnonzero(codes == code)) for code in np.unique(codes)]


def _stratum(part: Part, block: SurvivalBlock) -> SurvivalStratum:
    rows = part.rows
    entry = np.full(rows.size, -np.inf) if block.entry is None else block.entry[rows]
    event = (block.event[rows] == 1).astype(np.float64)
    return SurvivalStratum(part.name, block.X[rows], entry, block.time[rows], event)
