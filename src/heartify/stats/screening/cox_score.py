"""The Cox score test of many candidates against one null model, by passes over time-sorted rows.

The partial likelihood's score is linear in the candidate, U = G'M with Breslow's or Efron's residuals M, and so are all
sums over risk sets, which are cumulative sums between distinct event times; only those (events x m) are squared (Cox
1972; Efron 1977; Therneau and Grambsch 2000, section 3.1). Strata are hospitals. Delayed entry: a row is at risk at t
if entry < t <= time. Double precision throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, NotConvergedError
from heartify.stats.screening.candidates import CandidateBlock, as_doubles, check_rows
from heartify.stats.screening.missing import check_finite_or_missing
from heartify.stats.screening.sums import ScoreSums, add_hospitals, solve_semidefinite

Ties = Literal["efron", "breslow"]
IndexArray = NDArray[np.intp]
MAXIMUM_TOLERANCE = 1e-6  # Newton decrement of the given base coefficients: a thousandth of a standard error


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurvivalStratum:
    """Hold one hospital's base X (n, p), entry (n,) < time (n,) and event (n,) of zeros and ones.

    Raises:
        InvalidBlockError: shapes differ, a value is not finite, event is not 0/1, an entry is not before its time.
    """

    name: str
    X: FloatArray
    entry: FloatArray
    time: FloatArray
    event: FloatArray

    def __post_init__(self) -> None:
        for name in ("X", "entry", "time", "event"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64, order="C"))
        n = self.time.size
        if self.X.ndim != 2 or self.X.shape[0] != n or self.entry.shape != (n,) or self.event.shape != (n,) or not n:
            raise InvalidBlockError(f"stratum {self.name!r}: expected X (n, p) and entry, time, event (n,), n > 0")
        if not all(np.isfinite(a).all() for a in (self.X, self.time, self.event)) or np.isnan(self.entry).any():
            raise InvalidBlockError(f"stratum {self.name!r} has missing or infinite values")
        if not np.isin(self.event, (0.0, 1.0)).all() or not (self.entry < self.time).all():
            raise InvalidBlockError(f"stratum {self.name!r}: event must be 0 or 1, and entry before time")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RiskSets:
    """One stratum's rows under the null: everything that does not depend on the candidate.

    leave (n,): number of event times up to a row's time; enter (n,): up to its entry. alpha, beta, gamma (K,): sums of
    1/a0^2, f/a0^2, f^2/a0^2 over the tied deaths of each event time. M, c (n,): residuals and cumulated risk weights.
    """

    Z: FloatArray
    risk: FloatArray
    event: FloatArray
    leave: IndexArray
    enter: IndexArray
    alpha: FloatArray
    beta: FloatArray
    gamma: FloatArray
    M: FloatArray
    c: FloatArray
    base_at_risk: FloatArray
    base_tied: FloatArray
    score: FloatArray
    information: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CoxNull:
    """Hold the strata under a fitted null model; `coef` (p,) per clinical unit, `ties` as in the fit."""

    strata: tuple[SurvivalStratum, ...]
    coef: FloatArray
    ties: Ties
    mean: FloatArray
    sd: FloatArray
    risk_sets: tuple[RiskSets, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """Return the rows of every stratum."""
        return tuple(stratum.time.size for stratum in self.strata)


def cox_null(strata: Sequence[SurvivalStratum], coef: FloatArray, ties: Ties = "efron") -> CoxNull:
    """Prepare the strata at the base coefficients coef (p,) of a stratified Cox model that was fitted on these rows.

    Raises:
        InvalidBlockError: no strata, unequal widths, two of one name, a coefficient missing.
        DegenerateOutcomeError: no events at all.
        NotConvergedError: coef is not the maximum of the partial likelihood on these rows.
    """
    coef = np.array(coef, dtype=np.float64)
    if not strata or len({stratum.name for stratum in strata}) != len(strata):
        raise InvalidBlockError("expected strata of distinct names")
    if any(stratum.X.shape[1] != coef.size for stratum in strata) or coef.ndim != 1 or not np.isfinite(coef).all():
        raise InvalidBlockError("expected one finite coefficient for every base covariate")
    if not any(stratum.event.any() for stratum in strata):
        raise DegenerateOutcomeError("there are no events")
    X = np.concatenate([stratum.X for stratum in strata])
    mean, sd = X.mean(axis=0), X.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    risk_sets = tuple(_risk_sets(stratum, coef, ties, (mean, sd)) for stratum in strata)
    score = sum((item.score for item in risk_sets), np.zeros(coef.size))
    information = sum((item.information for item in risk_sets), np.zeros((coef.size, coef.size)))
    if float(score @ solve_semidefinite(information, score)) > MAXIMUM_TOLERANCE:
        raise NotConvergedError("the base coefficients are not the maximum of the partial likelihood on these rows")
    return CoxNull(tuple(strata), coef, ties, mean, sd, risk_sets)


def _risk_sets(
    stratum: SurvivalStratum, coef: FloatArray, ties: Ties, standard: tuple[FloatArray, FloatArray]
) -> RiskSets:
    Z = (stratum.X - standard[0]) / standard[1]
    eta = (stratum.X - standard[0]) @ coef
    risk = np.exp(eta - eta.max())
    times = np.unique(stratum.time[stratum.event == 1])
    leave = np.searchsorted(times, stratum.time, side="right")
    enter = np.searchsorted(times, stratum.entry, side="right")
    index = np.where(stratum.event == 1, leave - 1, 0)
    deaths = np.bincount(index, weights=stratum.event, minlength=times.size)[: times.size].astype(np.float64)
    at_risk = _at_risk(risk[:, None], leave, enter, times.size)[:, 0]
    tied = np.bincount(index, weights=stratum.event * risk, minlength=times.size)[: times.size].astype(np.float64)
    h, e, alpha, beta, gamma = _tie_sums(at_risk, tied, deaths, ties)
    cumulated = np.concatenate([[0.0], np.cumsum(h)])
    own = e[index] * stratum.event if times.size else np.zeros(stratum.time.size)
    c = risk * (cumulated[leave] - cumulated[enter] - own)
    draft = RiskSets(
        Z, risk, stratum.event, leave, enter, alpha, beta, gamma, stratum.event - c, c,
        Z, Z, coef, np.zeros((coef.size, coef.size)),
    )  # fmt: skip
    base_at_risk, base_tied = risk_sums(draft, Z)
    draft = replace(draft, base_at_risk=base_at_risk, base_tied=base_tied, score=Z.T @ draft.M)
    return replace(draft, information=cross_information(draft, Z, base_at_risk, base_tied).T)


def _tie_sums(
    at_risk: FloatArray, tied: FloatArray, deaths: FloatArray, ties: Ties
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return per event time the sums over its d deaths of 1/a0, f/a0, 1/a0^2, f/a0^2, f^2/a0^2; a0 = S0 - f e0."""
    h, e, alpha, beta, gamma = (np.zeros(at_risk.size) for _ in range(5))
    for rank in range(int(deaths.max(initial=0))):
        here = deaths > rank
        f = rank / np.maximum(deaths, 1.0) if ties == "efron" else np.zeros(deaths.size)
        a0 = at_risk - f * tied
        inverse = np.zeros(at_risk.size)
        np.divide(1.0, a0, out=inverse, where=here)
        h += inverse
        e += f * inverse
        alpha += inverse**2
        beta += f * inverse**2
        gamma += (f * inverse) ** 2
    return h, e, alpha, beta, gamma


def _at_risk(values: FloatArray, leave: IndexArray, enter: IndexArray, times: int) -> FloatArray:
    """Return sums (K, m) of values (n, m) over the rows at risk at each event time: enter <= k < leave."""
    total = _suffix_sums(values, leave, times)
    late = np.flatnonzero(enter > 0)
    if late.size:
        total -= _suffix_sums(values[late], enter[late], times)
    return total


def _suffix_sums(values: FloatArray, index: IndexArray, times: int) -> FloatArray:
    """Return for k = 0..K-1 the sum of the values whose index exceeds k."""
    grouped = _grouped_sums(values, index, times + 1)
    suffix: FloatArray = np.cumsum(grouped[:0:-1], axis=0)[::-1]
    return suffix


def _grouped_sums(values: FloatArray, index: IndexArray, groups: int) -> FloatArray:
    grouped = np.zeros((groups, values.shape[1]))
    if not index.size:
        return grouped
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    grouped[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return grouped


def risk_sums(sets: RiskSets, G: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the risk-weighted sums (K, m) of G (n, m) over the rows at risk, and over the rows that die."""
    weighted = sets.risk[:, None] * G
    dead = np.flatnonzero(sets.event == 1)
    at_risk = _at_risk(weighted, sets.leave, sets.enter, sets.alpha.size)
    return at_risk, _grouped_sums(weighted[dead], sets.leave[dead] - 1, sets.alpha.size)


def cross_information(sets: RiskSets, G: FloatArray, at_risk: FloatArray, tied: FloatArray) -> FloatArray:
    """Return the cross information (m, p) of candidates G (n, m), with their risk sums, and the base."""
    S, e = sets.base_at_risk, sets.base_tied
    first = sets.alpha[:, None] * S - sets.beta[:, None] * e
    second = sets.gamma[:, None] * e - sets.beta[:, None] * S
    cross: FloatArray = G.T @ (sets.c[:, None] * sets.Z) - at_risk.T @ first - tied.T @ second
    return cross


def _own_information(sets: RiskSets, G: FloatArray, at_risk: FloatArray, tied: FloatArray) -> FloatArray:
    first = sets.alpha[:, None] * at_risk - 2.0 * sets.beta[:, None] * tied
    squares = np.sum(at_risk * first, axis=0) + np.sum(sets.gamma[:, None] * tied**2, axis=0)
    own: FloatArray = sets.c @ G**2 - squares
    return own


def full_information(sets: RiskSets, G: FloatArray, at_risk: FloatArray, tied: FloatArray) -> FloatArray:
    """Return the information (k, k) of candidates G (n, k) among themselves."""
    first = sets.alpha[:, None] * at_risk - sets.beta[:, None] * tied
    second = sets.gamma[:, None] * tied - sets.beta[:, None] * at_risk
    full: FloatArray = G.T @ (sets.c[:, None] * G) - at_risk.T @ first - tied.T @ second
    return full


def cox_score_sums(null: CoxNull, block: CandidateBlock) -> ScoreSums:
    """Return the sums (H, m) of a block; a candidate with missing values on its own rows, with their own risk sets.

    Raises:
        InvalidBlockError: the block does not fit the strata, or holds an infinite value.
    """
    check_rows(block, null.rows)
    check_finite_or_missing(block)
    values = [as_doubles(part) for part in block.parts]
    return add_hospitals([_stratum_sums(null, h, part) for h, part in enumerate(values)])


def _stratum_sums(null: CoxNull, h: int, G: FloatArray) -> ScoreSums:
    missing = np.isnan(G)
    incomplete = missing.any(axis=0)
    whole = np.flatnonzero(~incomplete)
    m, p = G.shape[1], null.coef.size
    if whole.size == m:
        return _complete_sums(null.risk_sets[h], G)
    found = _empty(m, p)
    if whole.size:
        _put(found, whole, _complete_sums(null.risk_sets[h], G[:, whole]))
    for j in np.flatnonzero(incomplete):
        rows = ~missing[:, j]
        sets = restrict(null, h, rows)
        if sets is not None:
            _put(found, np.array([j]), _complete_sums(sets, G[rows][:, [j]]))
    return found


def restrict(null: CoxNull, h: int, rows: NDArray[np.bool_]) -> RiskSets | None:
    """Return a stratum's risk sets over some of its rows, or None when those hold no event."""
    stratum = null.strata[h]
    if not stratum.event[rows].any():
        return None
    part = SurvivalStratum(stratum.name, stratum.X[rows], stratum.entry[rows], stratum.time[rows], stratum.event[rows])
    return _risk_sets(part, null.coef, null.ties, (null.mean, null.sd))


def _complete_sums(sets: RiskSets, G: FloatArray) -> ScoreSums:
    n, m = G.shape
    mean = G.mean(axis=0)
    centred = G - mean  # the score does not change, and its squares cancel less
    at_risk, tied = risk_sums(sets, centred)
    return ScoreSums(
        n=np.full((1, m), float(n)),
        events=np.full((1, m), float(sets.event.sum())),
        mean=mean[None],
        squares=np.sum(centred**2, axis=0)[None],
        low=G.min(axis=0)[None],
        high=G.max(axis=0)[None],
        u=(sets.M @ centred)[None],
        d=_own_information(sets, centred, at_risk, tied)[None],
        A=cross_information(sets, centred, at_risk, tied)[None],
        score=sets.score[None, None],
        information=sets.information[None, None],
    )


def _empty(m: int, p: int) -> ScoreSums:
    zero = np.zeros((1, m))
    return ScoreSums(
        n=zero.copy(), events=zero.copy(), mean=zero.copy(), squares=zero.copy(),
        low=np.full((1, m), np.inf), high=np.full((1, m), -np.inf), u=zero.copy(), d=zero.copy(),
        A=np.zeros((1, m, p)), score=np.zeros((1, m, p)), information=np.zeros((1, m, p, p)),
    )  # fmt: skip


def _put(target: ScoreSums, columns: IndexArray, found: ScoreSums) -> None:
    for name in ScoreSums.__dataclass_fields__:
        array = getattr(target, name)
        if array is not None:
            array[:, columns] = getattr(found, name)
