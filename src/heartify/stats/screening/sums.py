"""Score statistics of candidates as sums per hospital, and the adjustment for the base covariates.

Both kernels (logistic, Cox) end here: a candidate's score u, its information d and its cross information A with the p
base covariates, free of the hospital's own baseline (intercept profiled out; Cox: partial likelihood). In that form
they add up over hospitals, so that pooled, per-hospital and leave-one-out tests come from the same pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from heartify.stats.blocks import FloatArray

RANK_TOLERANCE = 1e-10  # least eigenvalue kept of the correlation-scaled information of the base


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScoreSums:
    """Hold the sums of m candidates in H hospitals with p base covariates.

    n, events, mean, squares (about the mean), low, high: (H, m), over the rows where the candidate is known.
    u, d: (H, m); A: (H, m, p). score: (H, m or 1, p) and information: (H, m or 1, p, p) of the base on the same rows;
    second axis 1 where it is the same for all candidates. meat_*: the same moments weighted by squared residuals
    (robust variance), or None.
    """

    n: FloatArray
    events: FloatArray
    mean: FloatArray
    squares: FloatArray
    low: FloatArray
    high: FloatArray
    u: FloatArray
    d: FloatArray
    A: FloatArray
    score: FloatArray
    information: FloatArray
    meat_d: FloatArray | None = None
    meat_cross: FloatArray | None = None
    meat_information: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AdjustedScore:
    """Hold u and V (m,) adjusted for the base, d (m,) before adjustment, and the robust variance (m,) or None."""

    u: FloatArray
    V: FloatArray
    d: FloatArray
    V_robust: FloatArray | None


def adjust_pooled(sums: ScoreSums) -> AdjustedScore:
    """Return the score test of all hospitals together; u - A I^-1 U_x is one Newton step of the base on these rows."""
    a = solve_semidefinite(sums.information.sum(axis=0), sums.A.sum(axis=0))
    u = sums.u.sum(axis=0) - np.sum(a * sums.score.sum(axis=0), axis=-1)
    d = sums.d.sum(axis=0)
    V = d - np.sum(a * sums.A.sum(axis=0), axis=-1)
    return AdjustedScore(u, V, d, _robust_variance(sums, a))


def adjust_each_hospital(sums: ScoreSums) -> AdjustedScore:
    """Return every hospital's own score test, arrays (H, m): base slopes, too, are the hospital's own, by one step."""
    a = solve_semidefinite(sums.information, sums.A)
    u = sums.u - np.sum(a * sums.score, axis=-1)
    return AdjustedScore(u, sums.d - np.sum(a * sums.A, axis=-1), sums.d, None)


def adjust_leaving_one_out(sums: ScoreSums) -> AdjustedScore:
    """Return the score test without each hospital in turn, arrays (H, m)."""
    total, own = _without(sums.information), _without(sums.A)
    a = solve_semidefinite(total, own)
    d = _without(sums.d)
    u = _without(sums.u) - np.sum(a * _without(sums.score), axis=-1)
    return AdjustedScore(u, d - np.sum(a * own, axis=-1), d, None)


def _without(values: FloatArray) -> FloatArray:
    # Added up anew and not subtracted from the total: a hospital with huge sums must not leave its rounding behind.
    rest = np.zeros_like(values)
    for h in range(values.shape[0]):
        for other in range(values.shape[0]):
            if other != h:
                rest[h] += values[other]
    return rest


def _robust_variance(sums: ScoreSums, a: FloatArray) -> FloatArray | None:
    if sums.meat_d is None or sums.meat_cross is None or sums.meat_information is None:
        return None
    quadratic = np.einsum("...i,...ij,...j->...", a, sums.meat_information.sum(axis=0), a)
    result: FloatArray = sums.meat_d.sum(axis=0) - 2.0 * np.sum(a * sums.meat_cross.sum(axis=0), axis=-1) + quadratic
    return result


def solve_semidefinite(information: FloatArray, right: FloatArray) -> FloatArray:
    """Solve (..., p, p) x = (..., p) for stacks, leaving out directions without information (a constant covariate)."""
    if right.shape[-1] == 0:
        return np.zeros(np.broadcast_shapes(information.shape[:-1], right.shape))
    diagonal = np.einsum("...ii->...i", information)
    scale = np.zeros_like(diagonal)
    np.divide(1.0, np.sqrt(np.maximum(diagonal, 0.0)), out=scale, where=diagonal > 0.0)
    values, vectors = np.linalg.eigh(information * scale[..., :, None] * scale[..., None, :])
    inverse = np.zeros_like(values)
    np.divide(1.0, values, out=inverse, where=values > RANK_TOLERANCE)
    rotated = np.einsum("...ji,...j->...i", vectors, scale * right)
    solution: FloatArray = scale * np.einsum("...ij,...j->...i", vectors, inverse * rotated)
    return solution


def add_hospitals(parts: Sequence[ScoreSums]) -> ScoreSums:
    """Stack the sums (1, m) of single hospitals to (H, m)."""
    return _join(parts, axis=0)


def replace_columns(sums: ScoreSums, columns: Sequence[int], found: ScoreSums) -> ScoreSums:
    """Return the sums with some candidates' columns replaced; per-candidate base sums where those need them."""
    values: dict[str, FloatArray | None] = {}
    for field in fields(sums):
        old, new = getattr(sums, field.name), getattr(found, field.name)
        if old is None or new is None:
            values[field.name] = None
            continue
        m = sums.u.shape[1]
        merged = np.array(np.broadcast_to(old, (old.shape[0], m, *old.shape[2:])))
        merged[:, list(columns)] = new
        values[field.name] = merged
    return ScoreSums(**values)  # type: ignore[arg-type]


def _join(parts: Sequence[ScoreSums], axis: int) -> ScoreSums:
    values: dict[str, FloatArray | None] = {}
    for field in fields(ScoreSums):
        arrays = [getattr(part, field.name) for part in parts]
        if any(array is None for array in arrays):
            values[field.name] = None
            continue
        width = max(array.shape[1] for array in arrays)
        same = [np.broadcast_to(array, (array.shape[0], width, *array.shape[2:])) for array in arrays]
        values[field.name] = np.concatenate(same, axis=axis)
    return ScoreSums(**values)  # type: ignore[arg-type]
