"""The rows on which predictions are judged: those of hospitals whose events and non-events may both be shown.

Accuracy, calibration and net benefit tell the pooled number of events nearly as well as a count would. Were a hospital
with suppressed outcomes among them, its events would follow by subtraction from the shown ones (rule 9).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from heartify.disclosure.facts import OutcomeCount
from heartify.disclosure.rounding import round_count
from heartify.disclosure.suppression import can_show_outcomes
from heartify.enclave.analyses.analysis import AnalysisSkippedError
from heartify.enclave.analyses.risk_bands import Codes, Flags, Floats
from heartify.stats.blocks import CohortBlock

MAX_REPLICATE_ROWS = 30_000_000  # rows times replicates: some minutes on one core, within the smallest size class
LEAST_REPLICATES = 20  # fewer tell nothing of an optimism


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Judged:
    """Everyone's hospital (n,) by place, who is judged (n,), and the share of events by the counts that are shown."""

    hospital: Codes
    rows: Flags
    share: float


def judged_rows(blocks: Sequence[CohortBlock]) -> Judged:
    """Return the judged rows of the blocks, in their order.

    Raises:
        AnalysisSkippedError: no hospital has ten events and ten non-events.
    """
    counts = [OutcomeCount(block.n, block.events) for block in blocks]
    shown = [can_show_outcomes(count) for count in counts]
    if not any(shown):
        raise AnalysisSkippedError("small_cell")
    hospital = np.repeat(np.arange(len(blocks)), [block.n for block in blocks])
    kept = [count for count, is_shown in zip(counts, shown, strict=True) if is_shown]
    # From the rounded counts, as anyone could from the result: the exact share would give the exact count.
    share = sum(round_count(count.events) for count in kept) / sum(round_count(count.n) for count in kept)
    return Judged(hospital, np.array(shown)[hospital], share)


def outcomes(blocks: Sequence[CohortBlock]) -> Floats:
    """Return the outcomes (n,) of all blocks."""
    return np.concatenate([block.y for block in blocks])


def affordable_replicates(asked: int, rows: int) -> int:
    """Return how many replicates of a bootstrap over so many rows fit the time of a size class; 0 for none.

    A plan that was paid for must not die of its bootstrap: large cohorts get fewer replicates, which they need less.
    """
    affordable = min(asked, MAX_REPLICATE_ROWS // max(rows, 1))
    return affordable if affordable >= min(asked, LEAST_REPLICATES) else 0
