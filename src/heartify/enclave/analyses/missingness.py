"""Missing values by factor, over all hospitals and in each, among all rows read.

A count under 10 (0 is one) is hidden. The total is the sum of the rounded counts that are shown, and of the hidden ones
together where these are of at least two hospitals and add up to 10 or more; so it gives no hidden one away. Shares are
of shown counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.merging import gather_hidden
from heartify.disclosure.rounding import round_count
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.analyses.flow import EVERYBODY
from heartify.enclave.study_data import StudyData

Row = Mapping[str, Cell]


def missingness(data: StudyData) -> ExactTable:
    """Return a row for each factor; and, if they fit, for each hospital and factor."""
    rows = [round_count(case.rows) for case in data.cases]
    counts = {
        factor.name: [int(np.isnan(case.factors[factor.name]).sum()) for case in data.cases]
        for factor in data.plan.factors
    }
    table = [_row(EVERYBODY, name, sum(rows), _total(missing)) for name, missing in counts.items()]
    own = [
        _row(case.name, name, rows[index], _shown(missing[index]))
        for index, case in enumerate(data.cases)
        for name, missing in counts.items()
    ]
    fits = len(data.cases) > 1 and len(table) + len(own) <= TABLES["missingness"].max_rows
    return ExactTable("missingness", table + own if fits else table)


def _total(missing: Sequence[int]) -> int | None:
    parts = [_shown(count) or 0 for count in missing]
    return sum(parts) + round_count(gather_hidden(missing) or 0) or None


def _shown(count: int) -> int | None:
    return round_count(count) if can_show(count) else None


def _row(hospital: str, factor: str, rows: int, missing: int | None) -> Row:
    share = None if missing is None else missing / rows
    return {"hospital": hospital, "factor": factor, "rows": rows, "missing": missing, "share": share}
