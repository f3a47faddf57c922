"""Internal-external validation: each hospital judged by the model of the others, which have not seen it.

C, calibration slope and observed over expected; for a Cox model C and slope. Shown of hospitals with at least ten
patients of either outcome, judged by a model whose own cohort passes rules 1 to 4; summed up over those alone, by REML
with Hartung and Knapp's interval, on the scales of Snell, Debray and Riley 2018 (logit C, log O/E).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy.special import expit

from heartify.disclosure.rounding import AUC_DECIMALS, round_count, round_decimals
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.cox_validation import leave_one_hospital_out_cox
from heartify.enclave.analyses.effect_cells import Row, effect_cells
from heartify.enclave.analyses.hospital_fits import ESTIMATED, SUPPRESSED
from heartify.enclave.analyses.sdc_gate import can_show_pooled, can_validate_in
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import StatsError
from heartify.stats.firth import fit_firth
from heartify.stats.heterogeneity import Interval, LeftOutHospital, Measure, leave_one_hospital_out, random_effects
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import PooledLogisticFit

FEWEST_FOR_SUMMARY = 3
_FIGURES = ("n", "events", "c", "c_low", "c_high", "slope_se", "slope", "slope_ci_low", "slope_ci_high",
            "o_e", "o_e_low", "o_e_high")  # fmt: skip


def left_out_tables(data: StudyData) -> list[ExactTable]:
    """Return each hospital's validation, and its summary over the hospitals shown."""
    judged = _judge(data)
    # A failure says that the others' outcome is separated: that is no word to give, so it reads "suppressed" too.
    shown = [found for h, found in enumerate(judged) if found.failure is None and _can_show(data, h)]
    rows = [_row(found) if found in shown else _hidden_row(found) for found in judged]
    return [ExactTable("left_out_hospital", rows), ExactTable("left_out_summary", summary_rows(shown))]


def _judge(data: StudyData) -> tuple[LeftOutHospital, ...]:
    if data.plan.analysis.model == "cox":
        return leave_one_hospital_out_cox(data.survival, data.names, data.plan.analysis.ties)
    if data.fit.firth is None:
        return leave_one_hospital_out(data.blocks, data.names).hospitals
    return leave_one_hospital_out(data.blocks, data.names, fit=_firth).hospitals


def _firth(blocks: Sequence[CohortBlock], names: Sequence[str]) -> PooledLogisticFit:
    return fit_firth(blocks, names).estimates


def _can_show(data: StudyData, hospital: int) -> bool:
    others = [h for h in range(len(data.blocks)) if h != hospital]
    return can_validate_in(data, hospital) and can_show_pooled(data, others)


def _hidden_row(found: LeftOutHospital) -> Row:
    return {"hospital": found.hospital, "status": SUPPRESSED, **dict.fromkeys(_FIGURES)}


def _row(found: LeftOutHospital) -> Row:
    row = _hidden_row(found) | {"status": ESTIMATED, "n": found.n, "events": found.observed}
    if found.c is not None:
        row |= {"c": found.c.estimate} | _c_interval(found)
    if found.slope is not None:
        row |= effect_cells(found.slope.estimate, found.slope.se, name="slope", prefix="slope_")
    return row | _o_e_cells(found)


def _c_interval(found: LeftOutHospital) -> Row:
    """Return C's interval, made on the scale of its log odds so that it stays below one."""
    if found.logit_c is None:
        return {}
    ends = (found.logit_c.estimate + side * Z_95 * found.logit_c.se for side in (-1, 1))
    return dict(zip(("c_low", "c_high"), map(float, map(expit, ends)), strict=True))


def _o_e_cells(found: LeftOutHospital) -> Row:
    """Return O/E with the interval of the rounded counts: the width of the exact one would give the events back."""
    if found.log_oe is None:
        return {}
    n, events = round_count(found.n), round_count(found.observed)
    reach = Z_95 * math.sqrt((1.0 - events / n) / events)
    ratio = math.exp(found.log_oe.estimate)
    return {"o_e": ratio, "o_e_low": ratio * math.exp(-reach), "o_e_high": ratio * math.exp(reach)}


def summary_rows(shown: Sequence[LeftOutHospital]) -> list[Row]:
    """Return each measure pooled over the hospitals shown, where at least three have it."""
    scales: tuple[tuple[str, list[Measure | None], Callable[[float], float]], ...] = (
        ("c", [found.logit_c for found in shown], _c_of_logit),
        ("slope", [found.slope for found in shown], float),
        ("o/e", [found.log_oe for found in shown], math.exp),
    )
    rows = [_summary_row(name, [m for m in measures if m is not None and m.se > 0.0], back)
            for name, measures, back in scales]  # fmt: skip
    return [row for row in rows if row is not None]


def _summary_row(name: str, measures: Sequence[Measure], back: Callable[[float], float]) -> Row | None:
    if len(measures) < FEWEST_FOR_SUMMARY:
        return None
    try:
        pooled = random_effects([m.estimate for m in measures], [m.se for m in measures])
    except StatsError:
        return None
    knapp = pooled.hartung_knapp.ci if pooled.hartung_knapp else None
    prediction = pooled.prediction.hartung_knapp if pooled.prediction else None
    return {
        "measure": name,
        "hospitals": pooled.k,
        "estimate": back(pooled.estimate),
        **_ends("ci", knapp, back),
        **_ends("prediction", prediction, back),
    }


def _ends(prefix: str, interval: Interval | None, back: Callable[[float], float]) -> Row:
    ends = (None, None) if interval is None else (_finite(back, interval.low), _finite(back, interval.high))
    return dict(zip((f"{prefix}_low", f"{prefix}_high"), ends, strict=True))


def _finite(back: Callable[[float], float], value: float) -> float | None:
    try:
        return back(value)
    except OverflowError:  # an interval of three hospitals may reach beyond any ratio
        return None


def _c_of_logit(value: float) -> float:
    return round_decimals(float(expit(value)), AUC_DECIMALS)  # rule 10, in a column of statistics
