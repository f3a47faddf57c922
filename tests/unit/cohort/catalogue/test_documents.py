"""All documents of a version at once, as publishing asks for them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from heartify.cohort.catalogue.documents import build_documents
from heartify.cohort.catalogue.statistics import load_statistics
from heartify.cohort.catalogue.twin_file import parse_twin
from heartify.cohort.steward_dictionary import CatalogueDetails, StewardDictionary
from heartify.cohort.survey import Survey
from heartify.errors import InputError
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import DOCUMENT_NAMES

from .conftest import DATASET, boolean, dictionary_of, number, survey_of, table_of

ISSUED = dt.date(2026, 11, 22)


def build(survey: Survey, steward: StewardDictionary, **options: object) -> dict[str, bytes]:
    return build_documents(survey, steward, dataset=DATASET, random=np.random.default_rng(1), issued=ISSUED, **options)


def test_the_documents_are_those_of_a_manifest_in_its_order(
    demo_survey: Survey, demo_dictionary: DataDictionary, details: CatalogueDetails
) -> None:
    documents = build(demo_survey, StewardDictionary(demo_dictionary, catalogue=details))

    assert tuple(documents) == DOCUMENT_NAMES
    assert load_statistics(documents["statistics.json"]).n == 1500
    assert parse_twin(documents["synthetic-twin.csv"], demo_dictionary).num_rows == 1500
    assert b"Not differentially private" in documents["catalogue.jsonld"]


def test_an_excluded_column_is_in_no_statistics_but_in_the_twin(
    demo_survey: Survey, demo_dictionary: DataDictionary
) -> None:
    documents = build(demo_survey, StewardDictionary(demo_dictionary), exclude=("hba1c",))

    assert b"hba1c" not in documents["statistics.json"]
    assert b"hba1c" in documents["synthetic-twin.csv"]


def test_a_version_may_go_without_a_twin(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    documents = build(demo_survey, StewardDictionary(demo_dictionary), with_twin=False)

    assert tuple(documents) == DOCUMENT_NAMES[:3]


def test_the_record_of_a_small_cohort_says_that_its_twin_knows_the_dictionary_alone() -> None:
    dictionary = dictionary_of(number("x", minimum=0, maximum=1))
    survey = survey_of(table_of(dictionary, x=np.linspace(0, 1, 40)), dictionary)

    documents = build(survey, StewardDictionary(dictionary))

    assert b"from the data dictionary alone" in documents["catalogue.jsonld"]


def test_no_twin_is_an_error_and_not_silence() -> None:
    values = np.repeat(np.arange(16), 9)
    dictionary = dictionary_of(*(boolean(name) for name in "abcd"))
    bits = {name: (values >> place) & 1 == 1 for place, name in enumerate("abcd")}
    survey = survey_of(table_of(dictionary, **bits), dictionary)

    with pytest.raises(InputError, match="no synthetic twin"):
        build(survey, StewardDictionary(dictionary))


def test_no_document_holds_an_id(demo_dictionary: DataDictionary, demo_survey: Survey) -> None:
    documents = build(demo_survey, StewardDictionary(demo_dictionary))

    assert all(b"aspen" not in data for data in documents.values())
