"""Net reclassification, always as two parts: among events and among non-events.

Of the events: the share moved up less the share moved down; of the non-events: down less up. Continuous (any change of
risk) or across given cut-offs (Pencina et al. 2008, Stat Med 27:157; 2011, Stat Med 30:11). The sum weighs the two as
if half of all people had the event, so it never stands alone. Intervals are normal, with the multinomial variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.increment.discrimination import check_pair
from heartify.stats.performance.predictions import Estimate, normal_estimate

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NetReclassification:
    """The two parts and their sum, with the shares of events and of non-events that moved up and down."""

    events: Estimate
    nonevents: Estimate
    total: Estimate
    events_up: float
    events_down: float
    nonevents_up: float
    nonevents_down: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CategoricalReclassification:
    """The net reclassification across `cutoffs` (k - 1), and the tables (k, k) of counts it came from.

    A row of a table is the category by the base risk, a column that by the new risk; a risk at a cut-off belongs to
    the category above it.
    """

    cutoffs: tuple[float, ...]
    net: NetReclassification
    event_counts: IntArray
    nonevent_counts: IntArray


def continuous_reclassification(p_base: FloatArray, p_new: FloatArray, y: FloatArray) -> NetReclassification:
    """Count every change of risk from p_base (n,) to p_new (n,) as a move; equal risks did not move.

    Raises:
        InvalidBlockError: shapes or values are wrong.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
    """
    event = check_pair(p_base, p_new, y)
    move = np.sign(p_new - p_base)
    return _net(move[event], move[~event])


def categorical_reclassification(
    p_base: FloatArray, p_new: FloatArray, y: FloatArray, cutoffs: Sequence[float]
) -> CategoricalReclassification:
    """Count the moves from p_base (n,) to p_new (n,) between the categories that the cut-offs separate.

    Raises:
        InvalidBlockError: shapes or values are wrong; cut-offs are not increasing risks strictly between 0 and 1.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
    """
    event = check_pair(p_base, p_new, y)
    cuts = np.asarray(cutoffs, dtype=np.float64)
    if cuts.ndim != 1 or not cuts.size or not ((cuts > 0) & (cuts < 1)).all() or not (np.diff(cuts) > 0).all():
        raise InvalidBlockError("cut-offs must be increasing risks strictly between 0 and 1, at least one")
    base, new = np.searchsorted(cuts, p_base, side="right"), np.searchsorted(cuts, p_new, side="right")
    move = np.sign(new - base).astype(np.float64)
    cell, k = base * (cuts.size + 1) + new, cuts.size + 1
    return CategoricalReclassification(
        cutoffs=tuple(float(cut) for cut in cuts),
        net=_net(move[event], move[~event]),
        event_counts=_table(cell[event], k),
        nonevent_counts=_table(cell[~event], k),
    )


def _net(of_events: FloatArray, of_nonevents: FloatArray) -> NetReclassification:
    events, nonevents = _share(of_events), _share(-of_nonevents)
    return NetReclassification(
        events=events,
        nonevents=nonevents,
        total=normal_estimate(events.value + nonevents.value, events.se**2 + nonevents.se**2),
        events_up=float((of_events > 0).mean()),
        events_down=float((of_events < 0).mean()),
        nonevents_up=float((of_nonevents > 0).mean()),
        nonevents_down=float((of_nonevents < 0).mean()),
    )


def _share(moves: FloatArray) -> Estimate:
    """Return the mean of moves -1, 0, 1, with its multinomial variance."""
    return normal_estimate(float(moves.mean()), float(moves.var()) / moves.size)


def _table(cell: NDArray[np.intp], k: int) -> IntArray:
    counts: IntArray = np.bincount(cell, minlength=k * k).reshape(k, k).astype(np.int64)
    return counts
