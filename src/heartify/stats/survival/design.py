"""The rows of all hospitals, standardised, sorted by stratum and time, one contiguous line per covariate.

Within a stratum the partial likelihood does not change when a covariate is shifted, so each is centred per stratum
and scaled by its pooled within-stratum SD. Columns are taken one at a time: the only full copy is the sorted one, in
float64, or in float32 at half the memory (rounding each value by 6e-8 SD; all arithmetic stays float64).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.coding import CONSTANT_TOLERANCE, check_term_names
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, RankDeficientError
from heartify.stats.survival.blocks import BaselineHazard, SurvivalSource, check_sources
from heartify.stats.survival.risk_sets import IndexArray, RiskSets, build_risk_sets

RADIX_LIMIT = 2.0**16
HALVED_ROWS = 100_000  # fewer are sorted before a second thread has started
COLUMNS_IN_FLIGHT = 2  # a column waits for at most so many: memory stays bounded

Precision = Literal["float64", "float32"]
Value = TypeVar("Value", bound=np.generic)
Lines = NDArray[np.float64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Stratum:
    """Hold one stratum: its label, sorted standardised lines Z (p, n), their means (p,) before, and its risk sets.

    `at_events` (p,) is the sum of Z over the events, which no pass needs to take again.
    """

    label: tuple[str, int]
    Z: Lines
    mean: FloatArray
    sets: RiskSets
    at_events: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Design:
    """Hold the strata that have an event, the pooled within-stratum scale (p,), and where each sorted row came from.

    `rows` has one index array per stratum, into all rows in the order of the blocks.
    """

    strata: tuple[Stratum, ...]
    rows: tuple[IndexArray, ...]
    scale: FloatArray
    n: int


def build_design(
    sources: Sequence[SurvivalSource],
    term_names: Sequence[str],
    baseline: BaselineHazard,
    precision: Precision = "float64",
    executor: Executor | None = None,
) -> Design:
    """Sort and standardise the rows of all sources; strata are hospital (or none) times the blocks' own strata.

    Raises:
        InvalidBlockError: sources or names do not fit together.
        DegenerateOutcomeError: there is no event of interest.
        RankDeficientError: a column is constant within every stratum.
    """
    check_sources(sources)
    if precision not in ("float64", "float32"):
        raise InvalidBlockError("precision must be float64 or float32")
    check_term_names(term_names, len(term_names))
    if not any(source.events for source in sources):
        raise DegenerateOutcomeError("there is no event of interest")
    labels, rows, sets = _sort_rows(sources, baseline, executor)
    bounds = np.concatenate(([0], np.cumsum([part.size for part in rows])))
    order = rows[0] if len(rows) == 1 else np.concatenate(rows)
    Z: Lines = np.empty((len(term_names), order.size), dtype=np.dtype(precision))
    mean, scale = _read_columns(sources, order, bounds, Z, executor)
    _check_scales(mean, scale, term_names)
    kept = [s for s in range(len(sets)) if sets[s].times.size]
    lines = [Z[:, bounds[s] : bounds[s + 1]] for s in kept]
    strata = tuple(build_stratum(labels[s], part, mean[:, s], sets[s]) for s, part in zip(kept, lines, strict=True))
    return Design(strata, tuple(order[bounds[s] : bounds[s + 1]] for s in kept), scale, order.size)


def build_stratum(label: tuple[str, int], Z: Lines, mean: FloatArray, sets: RiskSets) -> Stratum:
    """Return a stratum of sorted lines (p, n), which were centred by mean (p,)."""
    at_events = np.array([line[sets.event_rows].sum(dtype=np.float64) for line in Z])
    return Stratum(label, Z, mean, sets, at_events)


def _sort_rows(
    sources: Sequence[SurvivalSource], baseline: BaselineHazard, executor: Executor | None
) -> tuple[list[tuple[str, int]], list[IndexArray], list[RiskSets]]:
    members: dict[tuple[str, int], list[tuple[SurvivalSource, IndexArray | None, int]]] = {}
    offset = 0
    for source in sources:
        hospital = source.name if baseline is BaselineHazard.PER_HOSPITAL else ""
        for code, positions in _by_code(source):
            members.setdefault((hospital, code), []).append((source, positions, offset))
        offset += source.n
    labels, rows, sets = [], [], []
    for label, parts in members.items():
        time = _joined([_at(source.time, positions) for source, positions, _ in parts])
        order = _time_order(time, executor)
        entry = None
        if any(source.entry is not None for source, _, _ in parts):
            entry = _joined([_entry(source, positions) for source, positions, _ in parts])[order]
        is_event = _joined([_at(source.event, positions) == 1 for source, positions, _ in parts])[order]
        labels.append(label)
        rows.append(_joined([_numbers(source, positions, start) for source, positions, start in parts])[order])
        sets.append(build_risk_sets(time[order], is_event, entry))
    return labels, rows, sets


def _time_order(time: FloatArray, executor: Executor | None) -> IndexArray:
    """Return the stable order of times (n,), so that ties fall alike on every machine.

    Whole numbers below 2^16, such as days, are sorted by radix, forty times as fast; of many others two halves are
    sorted at the same time, and merged.
    """
    if time.size and time.min() >= 0.0 and time.max() < RADIX_LIMIT:
        whole = time.astype(np.uint16)
        if np.array_equal(whole, time):
            return np.argsort(whole, kind="stable")
    if executor is None or time.size < HALVED_ROWS:
        return np.argsort(time, kind="stable")
    half = time.size // 2
    first, second = executor.map(lambda part: np.argsort(part, kind="stable"), (time[:half], time[half:]))
    order = np.concatenate((first, second + half))
    merged: IndexArray = order[np.argsort(time[order], kind="stable")]  # two runs: merged in one sweep
    return merged


def _by_code(source: SurvivalSource) -> list[tuple[int, IndexArray | None]]:
    """Return the rows of each of a source's own strata; None for all rows."""
    if source.stratum is None:
        return [(0, None)]
    codes, level = np.unique(source.stratum, return_inverse=True)
    order = np.argsort(level, kind="stable")
    ends = np.cumsum(np.bincount(level))
    return [(int(code), part) for code, part in zip(codes, np.split(order, ends[:-1]), strict=True)]


def _at(values: NDArray[Value], positions: IndexArray | None) -> NDArray[Value]:
    return values if positions is None else values[positions]


def _joined(parts: Sequence[NDArray[Value]]) -> NDArray[Value]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _numbers(source: SurvivalSource, positions: IndexArray | None, start: int) -> IndexArray:
    return np.arange(start, start + source.n) if positions is None else positions + start


def _entry(source: SurvivalSource, positions: IndexArray | None) -> FloatArray:
    entry = np.full(source.n, -np.inf) if source.entry is None else source.entry
    return _at(entry, positions)


def _read_columns(
    sources: Sequence[SurvivalSource],
    order: IndexArray,
    bounds: IndexArray,
    standardised: Lines,
    executor: Executor | None,
) -> tuple[FloatArray, FloatArray]:
    """Fill the lines (p, n) and return the stratum means (p, strata) and scale (p,); a constant line has scale 0.

    Columns are read here, in order; with an executor, others are standardised meanwhile.
    """
    p = standardised.shape[0]
    mean, scale = np.empty((p, bounds.size - 1)), np.empty(p)

    def standardise(j: int, parts: list[FloatArray]) -> None:
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        line = np.take(whole, order).astype(np.float64, copy=False)
        for s in range(bounds.size - 1):
            part = line[bounds[s] : bounds[s + 1]]
            mean[j, s] = part.sum() / part.size
            part -= mean[j, s]
        scale[j] = np.sqrt(line @ line / max(order.size - bounds.size + 1, 1))
        np.divide(line, scale[j] if scale[j] > 0.0 else 1.0, out=standardised[j], casting="same_kind")

    streams = [source.iterate_columns() for source in sources]
    pending: deque[Future[None]] = deque()
    for j in range(p):
        parts = [part for part in (next(stream, None) for stream in streams) if part is not None]
        if len(parts) != len(streams):
            raise InvalidBlockError(f"expected {p} columns in every block, got fewer")
        if executor is None:
            standardise(j, parts)
            continue
        pending.append(executor.submit(standardise, j, parts))
        if len(pending) == COLUMNS_IN_FLIGHT:
            pending.popleft().result()
    for last in pending:
        last.result()
    if any(next(stream, None) is not None for stream in streams):
        raise InvalidBlockError(f"expected {p} columns in every block, got more")
    return mean, scale


def _check_scales(mean: FloatArray, scale: FloatArray, term_names: Sequence[str]) -> None:
    constant = scale <= CONSTANT_TOLERANCE * np.abs(mean).max(axis=1)
    if constant.any():
        names = ", ".join(name for name, flag in zip(term_names, constant, strict=True) if flag)
        raise RankDeficientError(f"constant within every stratum: {names}")
