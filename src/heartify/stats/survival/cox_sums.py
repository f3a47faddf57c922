"""Log partial likelihood, score and information of Cox's model, as sums over chunks of rows and over strata.

With expected events m (n,), the score is X'(event - m) and the information X' diag(m) X less the sum over events of
the outer products of risk-set means a_l = S1_l / S0_l: two blocked sweeps of BLAS, O(n p^2), no loop over rows or event
times. Under Efron a_l = c + (S1 - c S0) / S0_l with c the mean of the tied events, so ties need no copies either, and
nothing cancels when a risk set consists of its own events. Chunks are added in order: threads change no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.likelihood import LikelihoodSums, empty_sums
from heartify.stats.survival.blocks import Ties
from heartify.stats.survival.design import Stratum
from heartify.stats.survival.hazard import HazardSums, expected_events, hazard_sums
from heartify.stats.survival.risk_sets import IndexArray, suffix

CHUNK_ROWS = 8_192  # a chunk of a dozen columns stays in the second-level cache
DENSE_ROWS = 4  # from this many rows an event time on, summing them per event time beats a running sum

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RiskPass:
    """Hold one stratum at given slopes: risks (n,), hazard sums, expected events (n,), and sums of risk times x.

    `after` (chunks, p): the sums over all later chunks; `late` (p, K) or None: over the rows that have not entered;
    `tied` (T,): the event times with Efron ties; `tied_mean` (p, T): the risk-weighted means of their events.
    """

    stratum: Stratum
    risk: FloatArray
    hazard: HazardSums
    expected: FloatArray
    after: FloatArray
    late: FloatArray | None
    tied: IndexArray
    tied_mean: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EventChunk:
    """Hold one chunk: its rows, its lines X (p, rows) in float64, its event times, and what Cox's model needs of them.

    `centre` (p, T) and `tied` (T,) positions: c of the event times with Efron ties (c = 0 elsewhere); `excess` (p, k) =
    (S1 - c S0) / S0, so that a_l = c + excess S0 / S0_l.
    """

    rows: slice
    X: FloatArray
    times: slice
    centre: FloatArray
    tied: IndexArray
    excess: FloatArray


def cox_sums(
    strata: Sequence[Stratum], slopes: FloatArray, ties: Ties, executor: Executor | None = None, chunk: int = CHUNK_ROWS
) -> LikelihoodSums:
    """Return the log partial likelihood, its gradient (p,) and information (p, p) at standardised slopes (p,).

    Slopes so wild that a risk overflows give a log-likelihood of minus infinity, which Newton's iteration refuses.
    """
    passes = start_passes(strata, slopes, ties, executor, chunk)
    total = empty_sums(slopes.size)
    if any(part is None for part in passes):
        return LikelihoodSums(-np.inf, total.gradient, total.information)
    ready = [part for part in passes if part is not None]
    tasks = [(part, number) for part in ready for number in range(len(part.after))]
    for part in ready:
        at_events = part.stratum.at_events
        total = total + LikelihoodSums(
            float(at_events @ slopes) - part.hazard.log_sum, at_events, np.zeros((slopes.size, slopes.size))
        )

    def add_up(task: tuple[RiskPass, int]) -> tuple[FloatArray, FloatArray]:
        piece = event_chunk(*task, chunk)
        expected = task[0].expected[piece.rows]
        return np.dot(piece.X, expected), _information(task[0], piece, expected)

    for gradient, information in map_in_order(executor, add_up, tasks):
        total = total + LikelihoodSums(0.0, -gradient, information)
    return total


def weighted_information(part: RiskPass, weights: FloatArray, chunk: int = CHUNK_ROWS) -> FloatArray:
    """Return (p, p) the sum over a stratum's event times of weights (K,) times the covariances of their risk sets."""
    total = np.zeros((part.stratum.Z.shape[0],) * 2)
    mass = expected_events(part.stratum.sets, part.hazard, part.risk, weights)
    for number in range(len(part.after)):
        piece = event_chunk(part, number, chunk)
        total += _information(part, piece, mass[piece.rows], weights[piece.times])
    return total


def start_passes(
    strata: Sequence[Stratum], slopes: FloatArray, ties: Ties, executor: Executor | None = None, chunk: int = CHUNK_ROWS
) -> list[RiskPass | None]:
    """Return each stratum's pass at slopes (p,), or None for one whose risks are not positive, finite numbers."""
    risks = [np.empty(stratum.sets.n) for stratum in strata]
    tasks = [(s, first) for s, risk in enumerate(risks) for first in range(0, risk.size, chunk)]

    def weigh(task: tuple[int, int]) -> FloatArray:
        s, first = task
        X = _lines(strata[s], slice(first, first + chunk))
        part = risks[s][first : first + chunk]
        with np.errstate(over="ignore", invalid="ignore"):
            np.exp(np.dot(slopes, X), out=part)
            sums: FloatArray = np.dot(X, part)
        return sums

    sums = map_in_order(executor, weigh, tasks)
    grouped = [[part for (s, _), part in zip(tasks, sums, strict=True) if s == number] for number in range(len(strata))]
    triples = zip(strata, risks, grouped, strict=True)
    return map_in_order(executor, lambda triple: _start_pass(*triple, ties), triples)


def _start_pass(stratum: Stratum, risk: FloatArray, sums: list[FloatArray], ties: Ties) -> RiskPass | None:
    by_chunk = np.array(sums)
    sets = stratum.sets
    if not np.isfinite(by_chunk).all() or not np.isfinite(risk).all() or not (risk[sets.event_rows] > 0.0).all():
        return None
    hazard = hazard_sums(sets, risk, ties)
    tied = np.flatnonzero(hazard.shared)
    return RiskPass(
        stratum=stratum,
        risk=risk,
        hazard=hazard,
        expected=expected_events(sets, hazard, risk),
        after=suffix(by_chunk.T).T - by_chunk,
        late=None if sets.first is None else np.array([sets.late_sums(line * risk) for line in stratum.Z]),
        tied=tied,
        tied_mean=_tied_means(stratum, risk, hazard, tied),
    )


def _tied_means(stratum: Stratum, risk: FloatArray, hazard: HazardSums, tied: IndexArray) -> FloatArray:
    sets = stratum.sets
    number = np.full(sets.times.size, -1)
    number[tied] = np.arange(tied.size)
    of_event = number[sets.event_index]
    rows, group = sets.event_rows[of_event >= 0], of_event[of_event >= 0]
    risks = risk[rows]
    sums = [np.bincount(group, weights=line[rows] * risks, minlength=tied.size) for line in stratum.Z]
    means: FloatArray = np.array(sums) / hazard.death_risk[tied]
    return means


def event_chunk(part: RiskPass, number: int, chunk: int = CHUNK_ROWS) -> EventChunk:
    """Return chunk `number` of a stratum's pass: the rows, and the event times whose risk set begins in them."""
    sets, hazard = part.stratum.sets, part.hazard
    rows = slice(number * chunk, min((number + 1) * chunk, sets.n))
    X = _lines(part.stratum, rows)
    low, high = (int(edge) for edge in np.searchsorted(sets.start, (rows.start, rows.stop)))
    times = slice(low, high)
    S1 = _suffix_sums_at(X * part.risk[rows], sets.start[times] - rows.start) + part.after[number][:, None]
    if part.late is not None:
        S1 -= part.late[:, times]
    own = slice(*(int(edge) for edge in np.searchsorted(part.tied, (low, high))))
    tied, centre = part.tied[own] - low, part.tied_mean[:, own]
    excess: FloatArray = S1 / hazard.S0[times]
    excess[:, tied] -= centre
    return EventChunk(rows, X, times, centre, tied, excess)


def _information(part: RiskPass, piece: EventChunk, mass: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Return the information (p, p) of one chunk whose rows have that mass (rows,), its event times weights (k,)."""
    square, relative = part.hazard.square[piece.times], part.hazard.relative[piece.times][piece.tied]
    deaths = part.stratum.sets.deaths[piece.times][piece.tied].astype(np.float64)
    if weights is not None:
        square = square * weights
        relative, deaths = relative * weights[piece.tied], deaths * weights[piece.tied]
    # np.dot, not @: products of two threads then run at the same time.
    information = np.dot(piece.X * mass, piece.X.T) - np.dot(piece.excess * square, piece.excess.T)
    if piece.tied.size:
        cross = np.dot(piece.centre * relative, piece.excess[:, piece.tied].T)
        information -= cross + cross.T + np.dot(piece.centre * deaths, piece.centre.T)
    symmetric: FloatArray = (information + information.T) / 2.0
    return symmetric


def _lines(stratum: Stratum, rows: slice) -> FloatArray:
    return stratum.Z[:, rows].astype(np.float64, copy=False)


def _suffix_sums_at(values: FloatArray, starts: IndexArray) -> FloatArray:
    """Return (p, k) the sums of values (p, rows) from each of the ascending starts (k,) to the end."""
    if starts.size * DENSE_ROWS <= values.shape[1]:
        return suffix(np.add.reduceat(values, starts, axis=1)) if starts.size else values[:, :0]
    sums: FloatArray = suffix(values)[:, starts]
    return sums


def map_in_order(executor: Executor | None, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Return the function's results in the order of the tasks, computed here or by the executor's threads."""
    return list(map(function, tasks) if executor is None else executor.map(function, tasks))
