"""The candidates of a screen: their values on the model's complete cases, and which of them the rules let be tested.

Each candidate is judged on its own rows, those where it is known: a hospital that knows it in fewer than 20 patients is
left out of it (rule 1), and rules 1 to 4 hold for what remains. A candidate that fails one is counted and not tested.
A number is told by how many patients have another value than the usual one, so that a column of zeros with a few
exceptions can't pass as a measurement. No statistic of a candidate is shown on two sets of rows, and no other weight is
shown on a candidate's rows: leaving one to nine patients out of it shows nothing of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cohort_rules import MAX_PARAMETERS_PER_ROW, MIN_CELL, MIN_RESIDUAL_DOF, MIN_ROWS, can_show
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.disclosure.facts import OutcomeCount
from heartify.disclosure.rounding import round_count
from heartify.disclosure.suppression import can_show_outcomes
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData

_USUAL_OF = 2 * MIN_CELL - 1
TOO_FEW_PATIENTS = "too few patients"
TOO_FEW_OUTCOMES = "too few outcomes"
SMALL_CELL = "small cell"
CONSTANT = "constant"
NOT_ESTIMABLE = "not estimable"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Candidate:
    """One candidate: why it is `refused` (None: it may be tested), and what the tables need of its rows.

    `n` is the number of patients as it may be shown: of each hospital's complete cases only those ten or more that lack
    the candidate are taken off, or the difference would count fewer than ten. `pattern` names the rows that lack it,
    None where none does. `alone` (H,) are the hospitals that pass the rules by themselves, with this candidate.
    """

    name: str
    refused: str | None
    n: int
    pattern: bytes | None
    alone: NDArray[np.bool_]


def candidate_values(data: StudyData, name: str) -> list[Floats]:
    """Return a candidate's values, an array (n,) for each hospital's complete cases; NaN: missing, or left out."""
    found = []
    for case in data.cases:
        values = case.columns[name][case.complete].astype(np.float64)
        if np.count_nonzero(~np.isnan(values)) < MIN_ROWS_PER_HOSPITAL:
            values = np.full(values.size, np.nan)
        found.append(values)
    return found


def judge_candidate(data: StudyData, name: str, base_alone: Sequence[bool]) -> Candidate:
    """Judge one candidate; `base_alone` (H,) says which hospitals pass the rules alone with the model itself."""
    values = candidate_values(data, name)
    outcomes = [block.y for block in data.blocks]
    refused, alone = judge_rows(values, outcomes, len(data.names), base_alone)
    shown = [_shown(part) for part in values]
    return Candidate(name, refused, sum(shown), _pattern(values), alone)


def judge_rows(
    values: Sequence[Floats], outcomes: Sequence[Floats], terms: int, base_alone: Sequence[bool]
) -> tuple[str | None, NDArray[np.bool_]]:
    """Return why a candidate with these values may not be tested, or None; and (H,) which hospitals pass alone.

    values, outcomes: (n,) for each hospital; `terms` is the number of the model's columns.
    """
    known = [~np.isnan(part) for part in values]
    own = [(part[rows], y[rows]) for part, y, rows in zip(values, outcomes, known, strict=True)]
    v, y = (np.concatenate([pair[place] for pair in own]) for place in (0, 1))
    hospitals = sum(bool(rows.any()) for rows in known)
    refused = _refusal(v, y, terms + 1 + hospitals)
    alone = [
        fits and part.size >= MIN_ROWS_PER_HOSPITAL and _refusal(part, own_y, terms + 2, least=0) in {None, CONSTANT}
        for fits, (part, own_y) in zip(base_alone, own, strict=True)
    ]
    return refused, np.array(alone)


def _refusal(v: Floats, y: Floats, parameters: int, least: int = MIN_ROWS) -> str | None:
    n = v.size
    if n < least or parameters > MAX_PARAMETERS_PER_ROW * n or n - parameters < MIN_RESIDUAL_DOF:
        return TOO_FEW_PATIENTS
    if not can_show_outcomes(OutcomeCount(n, int(y.sum()))):
        return TOO_FEW_OUTCOMES
    low, high = float(v.min()), float(v.max())
    if not np.isfinite([low, high]).all():
        return NOT_ESTIMABLE
    if low == high:
        return CONSTANT
    return None if _spreads(v, y, low, high) else SMALL_CELL


def _spreads(v: Floats, y: Floats, low: float, high: float) -> bool:
    """Return whether rule 4 holds: of two values each, by outcome; of more, that ten patients have no usual value."""
    at_low = v == low
    n_low, n_high = int(at_low.sum()), int(np.count_nonzero(v == high))
    if n_low + n_high == v.size:
        low_events = int(y[at_low].sum())
        high_events = int(y.sum()) - low_events
        cells = (n_low, n_high, low_events, n_low - low_events, high_events, n_high - high_events)
        return all(can_show(cell) or cell == 0 for cell in cells)
    # Where fewer than ten differ from one value, it is the median of any nineteen.
    usual = np.median(v[:_USUAL_OF])
    return can_show(int(np.count_nonzero(v != usual)))


def _shown(values: Floats) -> int:
    missing = int(np.count_nonzero(np.isnan(values)))
    if missing == values.size:
        return 0
    return round_count(values.size - missing if can_show(missing) else values.size)


def _pattern(values: Sequence[Floats]) -> bytes | None:
    missing = np.isnan(np.concatenate(values))
    return hashlib.sha256(np.packbits(missing).tobytes()).digest() if missing.any() else None
