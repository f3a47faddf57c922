"""The closed list of tables that a result may hold beside the weights, and the gate that they pass."""

from collections.abc import Mapping

from heartify.disclosure.tables.cohort import COHORT_TABLES
from heartify.disclosure.tables.heterogeneity import HETEROGENEITY_TABLES
from heartify.disclosure.tables.model import MODEL_TABLES
from heartify.disclosure.tables.performance import PERFORMANCE_TABLES
from heartify.disclosure.tables.release import check_table, release_table
from heartify.disclosure.tables.screening import SCREENING_TABLES
from heartify.disclosure.tables.spec import Column, ExactTable, ReleasedTable, TableSpec
from heartify.disclosure.tables.survival import SURVIVAL_TABLES
from heartify.disclosure.tables.weights import WEIGHT_TABLES

TABLES: Mapping[str, TableSpec] = {
    spec.name: spec
    for spec in (
        *COHORT_TABLES,
        *MODEL_TABLES,
        *SURVIVAL_TABLES,
        *WEIGHT_TABLES,
        *HETEROGENEITY_TABLES,
        *PERFORMANCE_TABLES,
        *SCREENING_TABLES,
    )
}
"""Every table that there is, by name, in the order in which a report shows them."""

__all__ = ["TABLES", "Column", "ExactTable", "ReleasedTable", "TableSpec", "check_table", "release_table"]
