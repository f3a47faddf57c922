"""The size class's limits on data and working memory, judged from documents before a hospital is asked for a key.

Manifests say how many rows there are, rounded to 5, and the plan says what becomes of them. So a study that can't fit
uses up no release of any hospital's keys. The exact number of rows is judged again when the columns are read.
"""

from __future__ import annotations

from heartify.enclave.failure import StudyFailedError
from heartify.enclave.job import Job
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import FactorSpec, Plan
from heartify.protocol.size_class import size_class

# The interpreter with numpy and scipy, measured, and what parsing and encoding take.
_BASE_BYTES = 512 * 1024**2
_VALUE_BYTES = 8
# Of a column of the design at once: its factor, the complete cases, the design, and a standardised or sorted copy.
_COPIES_OF_THE_DESIGN = 4


def check_size(job: Job) -> None:
    """Check rows, cells and the estimate of working memory over all hospitals of the deal.

    Raises:
        StudyFailedError: SIZE_LIMIT_EXCEEDED.
        DocumentError: there is no such size class, which no market and no pool lets pass.
    """
    promised = size_class(job.deal.sizeClass)
    rows = sum(hospital.manifest.rows_rounded for hospital in job.hospitals)
    cells = rows * len(job.plan.columns())
    if rows > promised.max_rows or cells > promised.max_cells:
        raise StudyFailedError(FailureCode.SIZE_LIMIT_EXCEEDED)
    parameters = count_parameters(job.plan, job.hospitals[0].dictionary)
    if working_bytes(rows, cells, parameters) > promised.max_memory_bytes:
        raise StudyFailedError(FailureCode.SIZE_LIMIT_EXCEEDED)


def working_bytes(rows: int, cells: int, parameters: int) -> int:
    """Estimate the memory of a study: the columns as read, and the design with its copies."""
    return _BASE_BYTES + _VALUE_BYTES * (cells + _COPIES_OF_THE_DESIGN * rows * parameters)


def count_parameters(plan: Plan, dictionary: DataDictionary) -> int:
    """Return the most columns that the plan's design can have, without intercepts."""
    of_factor = {factor.name: _count_columns(factor, dictionary) for factor in plan.factors}
    products = (of_factor[item.first] * of_factor[item.second] for item in plan.interactions)
    return sum(of_factor.values()) + sum(products)


def _count_columns(factor: FactorSpec, dictionary: DataDictionary) -> int:
    if factor.spline is not None:
        return max(factor.spline, len(factor.knots or ())) - 1
    if factor.reference is not None:
        # Hospitals may have levels that another one lacks; what they add is far below the estimate's roughness.
        return max(1, len(dictionary.column(factor.column).level_codes) - 1)
    return 1
