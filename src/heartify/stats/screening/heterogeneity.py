"""Do hospitals agree on a candidate: Q, I2, tau2 and leave-one-out, for every candidate of a block at once.

A hospital's estimate is its own one-step beta_h = u_h / V_h with variance 1 / V_h, so nothing but the sums of the
screen's single pass is needed. Hospitals without information on a candidate (V_h = 0) are left out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from heartify.stats.blocks import FloatArray

BoolArray = NDArray[np.bool_]
REML_ITERATIONS = 200
REML_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heterogeneity:
    """Hold, for m candidates: hospitals (m,) that inform, Q, its p, I2 in [0, 1], tau2 by DerSimonian-Laird and REML.

    Not a number where fewer than two hospitals inform; tau2 is on the squared scale of beta.
    """

    hospitals: FloatArray
    Q: FloatArray
    p: FloatArray
    I2: FloatArray
    tau2_dl: FloatArray
    tau2_reml: FloatArray


def heterogeneity(beta: FloatArray, V: FloatArray) -> Heterogeneity:
    """Return the heterogeneity of estimates beta (H, m) of precision V (H, m); V <= 0 or NaN: not informing.

    Source: Cochran 1954; Higgins and Thompson 2002, Stat Med 21:1539; DerSimonian and Laird 1986; Viechtbauer 2005.
    """
    informs = V > 0
    weight = np.where(informs, V, 0.0)
    value = np.where(informs, beta, 0.0)
    k = informs.sum(axis=0).astype(np.float64)
    few = k < 2
    total = np.where(few, 1.0, weight.sum(axis=0))
    mean = np.sum(weight * value, axis=0) / total
    Q = np.sum(weight * (value - mean) ** 2, axis=0)
    spread = total - np.sum(weight**2, axis=0) / total
    dl = np.maximum(0.0, (Q - (k - 1)) / np.where(few, 1.0, spread))
    I2 = np.zeros(Q.size)
    np.divide(Q - (k - 1), Q, out=I2, where=(k - 1 < Q) & (Q > 0.0))
    reml = _reml(value, weight, informs, np.where(few, 0.0, dl))
    hidden = [np.where(few, np.nan, array) for array in (Q, chdtrc(np.maximum(k - 1, 1), Q), I2, dl, reml)]
    return Heterogeneity(k, *hidden)


def _reml(value: FloatArray, weight: FloatArray, informs: BoolArray, start: FloatArray) -> FloatArray:
    """Return REML's tau2 by Fisher scoring, all candidates at once (Viechtbauer 2005, J Educ Behav Stat 30:261)."""
    variance = 1.0 / np.where(informs, weight, 1.0)
    tau2 = start
    for _ in range(REML_ITERATIONS):
        step = _scoring_step(value, variance, informs, tau2)
        changed = np.maximum(0.0, tau2 + step)
        moved = np.abs(changed - tau2) > REML_TOLERANCE * (tau2 + _typical(variance, informs))
        tau2 = changed
        if not moved.any():
            break
    return tau2


def _typical(variance: FloatArray, informs: BoolArray) -> FloatArray:
    smallest: FloatArray = np.where(informs, variance, np.inf).min(axis=0)
    return np.where(np.isfinite(smallest), smallest, 1.0)


def _scoring_step(value: FloatArray, variance: FloatArray, informs: BoolArray, tau2: FloatArray) -> FloatArray:
    w = np.where(informs, 1.0 / (variance + tau2), 0.0)
    s1, s2, s3 = (np.maximum(np.sum(w**power, axis=0), 1e-300) for power in (1, 2, 3))
    mean = np.sum(w * value, axis=0) / s1
    gradient = np.sum(w**2 * (value - mean) ** 2, axis=0) - (s1 - s2 / s1)
    information = s2 - 2.0 * s3 / s1 + (s2 / s1) ** 2
    step = np.zeros(tau2.size)
    np.divide(gradient, information, out=step, where=information > 0)
    return step
