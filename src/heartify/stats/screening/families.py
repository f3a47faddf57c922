"""Joint score tests of families of candidates: a spline's terms, a factor's levels, a panel of one physiology.

chi2 = U' V^- U with the full k x k block of the information, cross terms included (Rao 1948). A family whose members
are linearly dependent, given the base, is tested on its rank. Rows are those on which all members are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import chdtrc

from heartify.stats.blocks import FloatArray
from heartify.stats.screening.candidates import CandidateBlock, as_doubles, check_rows
from heartify.stats.screening.cox_score import CoxNull, cross_information, full_information, restrict, risk_sums
from heartify.stats.screening.logistic_score import LogisticNull, profile_base
from heartify.stats.screening.missing import check_finite_or_missing, null_on_rows
from heartify.stats.screening.sums import solve_semidefinite

CONSTANT_TOLERANCE = 1e-24  # a centred sum of squares below this part of the one not centred is rounding
RANK_TOLERANCE = 1e-8  # least eigenvalue kept, of the family's information scaled to a unit diagonal


@dataclass(frozen=True, slots=True)
class FamilyTest:
    """A family's joint test: chi2 on `df` (its rank given the base, at most k), over n rows with `events` events.

    df 0 (chi2 0, p 1): every member is constant or a combination of the base; n 0: no complete rows with a varying
    outcome, or a null without a maximum on them.
    """

    name: str
    members: tuple[str, ...]
    n: int
    events: int
    chi2: float
    df: int
    p: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _FamilySums:
    n: float
    events: float
    raw: FloatArray
    u: FloatArray
    V: FloatArray
    A: FloatArray
    score: FloatArray
    information: FloatArray

    def __add__(self, other: _FamilySums) -> _FamilySums:
        return _FamilySums(
            self.n + other.n,
            self.events + other.events,
            self.raw + other.raw,
            self.u + other.u,
            self.V + other.V,
            self.A + other.A,
            self.score + other.score,
            self.information + other.information,
        )


def score_test_family(
    null: LogisticNull | CoxNull, name: str, family: CandidateBlock, *, missing: Literal["refit", "one-step"] = "refit"
) -> FamilyTest:
    """Test the members of a family (k <= a few hundred) jointly against the null; `missing` as in `ScreenOptions`.

    Raises:
        InvalidBlockError: the family does not fit the null's hospitals and rows, or holds an infinite value.
    """
    check_rows(family, null.rows)
    check_finite_or_missing(family)
    values = [as_doubles(part) for part in family.parts]
    if isinstance(null, CoxNull):
        found = _cox_sums(null, values)
    elif missing == "refit" and any(np.isnan(part).any() for part in values):
        found = _own_rows_sums(null, values)
    else:
        found = _logistic_sums(null, values)
    if not found:
        return FamilyTest(name, family.names, 0, 0, 0.0, 0, 1.0)
    total = found[0]
    for part in found[1:]:
        total = total + part
    solved = solve_semidefinite(total.information[None], total.A)
    u = total.u - solved @ total.score
    chi2, df = _quadratic(u, total.V - solved @ total.A.T, (np.diag(total.V), total.raw))
    p = float(chdtrc(df, chi2)) if df else 1.0
    return FamilyTest(name, family.names, int(total.n), int(total.events), chi2, df, p)


def _quadratic(u: FloatArray, V: FloatArray, before: tuple[FloatArray, FloatArray]) -> tuple[float, int]:
    """Return u' V^- u and the rank of V; `before` is its diagonal (k,) before adjustment, centred and not centred."""
    scale = np.zeros(u.size)
    varies = before[0] > CONSTANT_TOLERANCE * before[1]
    np.divide(1.0, np.sqrt(np.maximum(before[0], 0.0)), out=scale, where=varies)
    values, vectors = np.linalg.eigh((V + V.T) / 2.0 * np.outer(scale, scale))
    kept = values > RANK_TOLERANCE
    rotated = vectors[:, kept].T @ (scale * u)
    return float(np.sum(rotated**2 / values[kept])), int(kept.sum())


def _own_rows_sums(null: LogisticNull, values: Sequence[FloatArray]) -> list[_FamilySums]:
    known = [np.asarray(~np.isnan(part).any(axis=1)) for part in values]
    own = null_on_rows(null, known)
    if own is None:
        return []
    parts = {block.name: part[rows] for block, part, rows in zip(null.blocks, values, known, strict=True)}
    return _logistic_sums(own, [parts[block.name] for block in own.blocks])


def _logistic_sums(null: LogisticNull, values: Sequence[FloatArray]) -> list[_FamilySums]:
    found = []
    for stratum in null.strata:
        G = values[stratum.position]
        rows = ~np.isnan(G).any(axis=1)
        events, n = float(stratum.y[rows].sum()), float(rows.sum())
        if not 0 < events < n:
            continue
        r, w = stratum.r[rows], stratum.w[rows]
        design = np.column_stack([np.ones(int(n)), stratum.Z[rows]])
        full = design.T @ (design * w[:, None])
        score, information = profile_base(design.T @ r, full)
        g = G[rows] - (w @ G[rows]) / w.sum()
        V = g.T @ (g * w[:, None])
        # The weighted mean of g is zero: nothing is left of the intercept in A and V.
        A = g.T @ (design[:, 1:] * w[:, None])
        found.append(_FamilySums(n, events, w @ G[rows] ** 2, r @ g, V, A, score, information))
    return found


def _cox_sums(null: CoxNull, values: Sequence[FloatArray]) -> list[_FamilySums]:
    found = []
    for h, G in enumerate(values):
        rows = np.asarray(~np.isnan(G).any(axis=1))
        sets = null.risk_sets[h] if rows.all() and null.strata[h].event.any() else restrict(null, h, rows)
        if sets is None:
            continue
        g = G[rows] - G[rows].mean(axis=0)
        at_risk, tied = risk_sums(sets, g)
        found.append(
            _FamilySums(
                float(rows.sum()),
                float(sets.event.sum()),
                sets.c @ G[rows] ** 2,
                sets.M @ g,
                full_information(sets, g, at_risk, tied),
                cross_information(sets, g, at_risk, tied),
                sets.score,
                sets.information,
            )
        )
    return found
