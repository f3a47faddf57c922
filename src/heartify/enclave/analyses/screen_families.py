"""Joint tests of the families of a screen, each on the rows where all of its members are known.

Members that the rules don't let be tested, on their own rows or on the family's, are left out; `candidates` says how
many remain. The p- and q-values are those of the shown chi-square.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from heartify.disclosure.cells import Cell
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.disclosure.rounding import round_chi_square
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.screen_candidates import candidate_values, judge_rows
from heartify.enclave.analyses.screen_null import ScreenNull
from heartify.enclave.analyses.screen_tests import Adjustment, adjust
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.errors import StatsError
from heartify.stats.screening import score_test_family

Row = dict[str, Cell]
Values = dict[str, list[Floats]]


def families_table(data: StudyData, null: ScreenNull, allowed: frozenset[str], adjustment: Adjustment) -> ExactTable:
    """Return the plan's families in its order; one without an allowed member has no figures.

    q-values are over the families: BH's, or BY's where the plan asks for that (families are too few for Storey's).
    """
    families = data.plan.screen.families if data.plan.screen else {}
    rows = [_row(data, null, name, [m for m in members if m in allowed]) for name, members in families.items()]
    p = np.array([_p(row) for row in rows], dtype=np.float64)
    q = adjust(p, "by" if adjustment == "by" else "bh", None)
    for row, value in zip(rows, q.tolist(), strict=True):
        row["q"] = None if np.isnan(value) else float(np.log(max(value, 1e-300)))
    return ExactTable("screen_families", rows)


def _row(data: StudyData, null: ScreenNull, name: str, members: Sequence[str]) -> Row:
    values = _on_common_rows(data, {member: candidate_values(data, member) for member in members})
    row: Row = {"family": name, "candidates": len(values), "chi2": None, "df": None}
    if not values:
        return row
    try:
        found = score_test_family(null.model, name, null.block(values))
    except StatsError:
        return row
    return row | {"chi2": round_chi_square(found.chi2), "df": found.df} if found.df else row


def _on_common_rows(data: StudyData, values: Values) -> Values:
    """Return the members' values on the rows where all are known, without members that the rules refuse there."""
    outcomes = [block.y for block in data.blocks]
    alone = [False] * len(outcomes)
    while values:
        common = [_known(parts) for parts in zip(*values.values(), strict=True)]
        shared = {
            name: [np.where(rows, part, np.nan) for rows, part in zip(common, parts, strict=True)]
            for name, parts in values.items()
        }
        terms = len(data.names) + len(values) - 1
        refused = {name for name, parts in shared.items() if judge_rows(parts, outcomes, terms, alone)[0] is not None}
        if not refused:
            return shared
        values = {name: parts for name, parts in values.items() if name not in refused}
    return {}


def _known(parts: Sequence[Floats]) -> NDArray[np.bool_]:
    known = np.asarray(~np.isnan(np.vstack(parts)).any(axis=0))
    return known if np.count_nonzero(known) >= MIN_ROWS_PER_HOSPITAL else np.zeros_like(known)


def _p(row: Row) -> float:
    if row["chi2"] is None or row["df"] is None:
        return float("nan")
    return float(chdtrc(int(row["df"]), float(row["chi2"])))
