"""All documents of a dataset version's catalogue entry at once, as publishing needs them.

Plaintext (the survey) and the steward's words go in; what comes out is public. Everything that tells about patients has
gone through rounding on the way: statistics through their gate, the twin through its model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import numpy as np

from heartify.cohort.catalogue.build_statistics import build_statistics
from heartify.cohort.catalogue.csvw_document import CSVW_FILE, encode_csvw
from heartify.cohort.catalogue.health_record import RECORD_FILE, encode_record
from heartify.cohort.catalogue.statistics import STATISTICS_FILE, encode_statistics
from heartify.cohort.catalogue.twin_file import TWIN_FILE, build_twin
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.cohort.survey import Survey
from heartify.disclosure.cohort_rules import MIN_ROWS

TWIN_OF_COHORT = (
    "Rows of nobody, drawn from rounded distributions and correlations of the cohort, for rehearsing an analysis. "
    "Not differentially private. Never use it for findings"
)
TWIN_OF_DICTIONARY = (
    "Rows of nobody, drawn from the data dictionary alone, as the cohort is small: for rehearsing an analysis. "
    "It says nothing about the cohort. Never use it for findings"
)


def build_documents(
    survey: Survey,
    steward: StewardDictionary,
    *,
    dataset: str,
    random: np.random.Generator,
    issued: dt.date,
    exclude: Collection[str] = (),
    with_twin: bool = True,
) -> dict[str, bytes]:
    """Build the documents of `protocol.manifest.DOCUMENT_NAMES`, in that order.

    `random` is seeded by fresh randomness; `exclude` names columns about which neither statistics nor twin may tell
    anything. `with_twin=False` leaves the twin out, and labs then can't rehearse.

    Raises:
        InputError: an excluded column isn't published, or no twin can be drawn.
    """
    dictionary = steward.dictionary
    statistics = build_statistics(survey, dictionary, dataset=dataset, exclude=exclude)
    told = (TWIN_OF_DICTIONARY if survey.rows < MIN_ROWS else TWIN_OF_COHORT) if with_twin else None
    documents = {
        RECORD_FILE: encode_record(steward, statistics, issued=issued, twin=told),
        CSVW_FILE: encode_csvw(dictionary),
        STATISTICS_FILE: encode_statistics(statistics),
    }
    if with_twin:
        documents[TWIN_FILE] = build_twin(survey.sample, dictionary, rows=survey.rows, random=random, exclude=exclude)
    return documents
