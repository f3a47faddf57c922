"""[describe]: the cohort that the weights are about, in six tables. Each guards its own counts.

A table that can't be made does not sink the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.adequacy import adequacy
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.analyses.flow import flow
from heartify.enclave.analyses.missingness import missingness
from heartify.enclave.analyses.plausibility import plausibility
from heartify.enclave.analyses.table1 import table1
from heartify.enclave.study_data import StudyData
from heartify.stats.errors import StatsError


def describe(data: StudyData) -> Sequence[ExactTable]:
    """Return the tables of the cohort; without the sample size where the outcome counts don't bear it."""
    tables = [flow(data), *table1(data), missingness(data), plausibility(data)]
    try:
        return [*tables, adequacy(data)]
    except StatsError:
        return tables


DESCRIBE = Analysis("describe", lambda plan: plan.describe is not None, describe)
