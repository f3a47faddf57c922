"""What an analysis is: a section of the plan that asks for it, and a function from the study's data to exact tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from heartify.disclosure.tables import ExactTable
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan

SkipReason = Literal["not_estimable", "too_few_patients", "too_few_hospitals", "too_many_terms", "small_cell"]


class AnalysisSkippedError(Exception):
    """The data don't bear the analysis; `reason` is all that may be said."""

    def __init__(self, reason: SkipReason) -> None:
        super().__init__(reason)
        self.reason: SkipReason = reason


@dataclasses.dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis beyond the weights. `run` may raise AnalysisSkippedError, or StatsError for "not_estimable"."""

    name: str
    is_requested: Callable[[Plan], bool]
    run: Callable[[StudyData], Sequence[ExactTable]]
