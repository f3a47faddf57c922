"""Look at a cohort as publishing would, without publishing: no key is made, nothing is stored, no chain is asked.

What comes back is exact and stays in the hospital: small counts stand in it as they are.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from heartify.cohort.events.derivation import Derivation
from heartify.cohort.survey.survey import Survey, survey_rows
from heartify.hospital.publishing.open_source import CohortSource, open_source
from heartify.hospital.publishing.survey_step import sampling
from heartify.hospital.publishing.terms import Report


@dataclass(frozen=True, slots=True)
class Checked:
    """What the survey found, and how records of events became rows when the cohort is made of such."""

    survey: Survey
    derivation: Derivation | None


def check_cohort(cohort: CohortSource, work_folder: Path, *, today: dt.date, report: Report) -> Checked:
    """Survey a cohort, and say who of the source's patients was left out and why.

    Raises:
        InputError: the source, the dictionary or the mapping is wrong.
        UsageError: an option doesn't belong to the source.
    """
    with open_source(cohort, work_folder, report) as opened:
        survey = survey_rows(
            opened.rows,
            random=sampling(opened.rows),
            today=today,
            report=lambda done, fraction: report("reading", done, fraction),
        )
        return Checked(survey, opened.derivation())
