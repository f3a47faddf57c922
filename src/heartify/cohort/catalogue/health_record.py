"""`catalogue.jsonld`: the HealthDCAT-AP Release 8 record of a dataset version that is not public.

Made from the steward's words, the public dictionary and the released statistics; nothing is invented, so a field that
the steward left out is absent, and `coded_details.missing_details` names it. It must never hold what the statistics
hide. The record is self-contained: its context is written out, and its other documents are addressed relative to it.

Sources: HealthDCAT-AP Release 8 (non-public profile); DCAT-AP 3.0.1; docs/reference/catalogue.md lists each property.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable

from heartify.cohort.catalogue import coded_details, vocabulary
from heartify.cohort.catalogue.csvw_columns import csvw_base, described, property_url
from heartify.cohort.catalogue.csvw_document import CSVW_FILE
from heartify.cohort.catalogue.record_nodes import (
    Node,
    agent,
    contact_point,
    count,
    day,
    english,
    file_distribution,
    link,
    period,
    typed,
    without_gaps,
)
from heartify.cohort.catalogue.statistics import STATISTICS_FILE, DatasetStatistics
from heartify.cohort.catalogue.twin_file import TWIN_FILE
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.column_naming import is_age
from heartify.protocol.dictionary import Column, DataDictionary

RECORD_FILE = "catalogue.jsonld"
AGE_STEP = 5


def encode_record(
    steward: StewardDictionary, statistics: DatasetStatistics, *, issued: dt.date, twin: str | None
) -> bytes:
    """Return the record in canonical JSON; `twin` says how the synthetic twin was made, None: there is none."""
    dataset = _dataset_id(steward)
    fields = (
        ("@context", vocabulary.CONTEXT),
        ("@id", dataset),
        ("@type", "dcat:Dataset"),
        *_identity(steward, statistics, issued),
        *_rights(steward),
        *_people(steward),
        *_subject(steward),
        *_size(steward.dictionary, statistics),
        *_variables(steward.dictionary, TWIN_FILE if twin is not None else None),
        *_documents(steward, statistics, twin),
    )
    return encode_canonical(without_gaps(fields))


def _dataset_id(steward: StewardDictionary) -> str:
    """Return the steward's own address of the dataset; else one relative to the record."""
    identifier = steward.catalogue.identifier
    return identifier if identifier is not None and coded_details.is_iri(identifier) else "#dataset"


def _identity(
    steward: StewardDictionary, statistics: DatasetStatistics, issued: dt.date
) -> Iterable[tuple[str, object]]:
    details, dictionary = steward.catalogue, steward.dictionary
    identifiers = [text for text in (details.identifier, statistics.dataset) if text]
    yield "dct:title", dictionary.title
    yield "dct:description", dictionary.description
    yield "dct:identifier", identifiers
    yield "dct:issued", day(issued)
    yield "dcat:keyword", list(details.keywords)
    yield "foaf:page", link(details.documentation) if details.documentation else None


def _rights(steward: StewardDictionary) -> Iterable[tuple[str, object]]:
    details = steward.catalogue
    yield "dct:accessRights", link(vocabulary.NON_PUBLIC)
    yield "dcatap:applicableLegislation", link(vocabulary.EHDS_REGULATION)
    bases = [
        link(text) if coded_details.is_iri(text) else {"@type": "dpv:LegalBasis", "dct:description": text}
        for text in details.legal_basis
    ]
    yield "dpv:hasLegalBasis", bases
    yield "dpv:hasPurpose", {"@type": "dpv:Purpose", "dct:description": details.purpose} if details.purpose else None
    provenance = {"@type": "dct:ProvenanceStatement", "rdfs:label": details.provenance}
    yield "dct:provenance", provenance if details.provenance else None


def _people(steward: StewardDictionary) -> Iterable[tuple[str, object]]:
    details = steward.catalogue
    yield "dct:publisher", agent(details.publisher) if details.publisher else None
    yield "healthdcatap:hdab", agent(details.hdab) if details.hdab else None
    yield "dcat:contactPoint", contact_point(details.contact) if details.contact else None


def _subject(steward: StewardDictionary) -> Iterable[tuple[str, object]]:
    details = steward.catalogue
    yield "dct:type", link(vocabulary.STATISTICAL_DATA)
    yield "dcat:theme", [link(iri) for iri in coded_details.theme_iris(details)]
    yield "healthdcatap:healthCategory", [link(iri) for iri in coded_details.health_category_iris(details)]
    yield "healthdcatap:healthTheme", [link(iri) for iri in coded_details.health_theme_iris(details)]
    yield "dct:spatial", [link(iri) for iri in coded_details.country_iris(details)]
    yield "dct:language", [link(iri) for iri in coded_details.language_iris(details)]
    yield "dct:temporal", period(details.temporal_start, details.temporal_end)
    yield "healthdcatap:populationCoverage", details.population_coverage
    systems = {code: True for column in steward.dictionary.published_columns for code in _coding_systems(column)}
    yield "healthdcatap:hasCodingSystem", [link(vocabulary.CODING_SYSTEM + code) for code in sorted(systems)]
    values = [_code_value(column) for column in steward.dictionary.published_columns]
    yield "healthdcatap:hasCodeValues", [value for value in values if value]


def _coding_systems(column: Column) -> Iterable[str]:
    if column.loinc is not None:
        yield "LOINC"
    if column.snomed is not None:
        yield "SNOMED-CT"
    if column.omop is not None:
        yield "OHDSI-VOCAB"
    if column.unit != "1":
        yield "UCUM"


def _code_value(column: Column) -> str:
    codes = (("LOINC", column.loinc), ("SNOMED CT", column.snomed), ("OMOP", column.omop))
    said = ", ".join(f"{system}: {code}" for system, code in codes if code is not None)
    return f"{said} ({column.name})" if said else ""


def _size(dictionary: DataDictionary, statistics: DatasetStatistics) -> Iterable[tuple[str, object]]:
    """Yield numbers of the released statistics only: a patient is one row, and ages are rounded outwards to 5 years."""
    if statistics.n:
        yield "healthdcatap:numberOfRecords", count(statistics.n)
        yield "healthdcatap:numberOfUniqueIndividuals", count(statistics.n)
    for column in dictionary.published_columns:
        shown = statistics.column(column.name)
        if shown is None or not is_age(column) or column.unit != "a" or shown.p05 is None or shown.p95 is None:
            continue
        yield "healthdcatap:minTypicalAge", count(max(0, math.floor(shown.p05 / AGE_STEP) * AGE_STEP))
        yield "healthdcatap:maxTypicalAge", count(max(0, math.ceil(shown.p95 / AGE_STEP) * AGE_STEP))
        return


def _variables(dictionary: DataDictionary, file: str | None) -> Iterable[tuple[str, object]]:
    columns = [
        without_gaps(
            (
                ("@type", "csvw:Column"),
                ("csvw:name", column.name),
                ("csvw:title", column.title),
                ("dct:description", described(column)),
                ("csvw:datatype", csvw_base(column)),
                ("csvw:propertyUrl", link(url) if (url := property_url(column)) else None),
            )
        )
        for column in dictionary.published_columns
    ]
    table = without_gaps(
        (
            ("@type", "csvw:Table"),
            ("dct:title", dictionary.title),
            ("csvw:url", None if file is None else link(file)),
            ("csvw:column", columns),
        )
    )
    yield "healthdcatap:hasStructuredData", typed("true", "boolean")
    yield (
        "healthdcatap:hasVariables",
        {"@type": "csvw:TableGroup", "dct:title": english("Variables of the dataset"), "csvw:table": table},
    )


def _documents(
    steward: StewardDictionary, statistics: DatasetStatistics, twin: str | None
) -> Iterable[tuple[str, object]]:
    yield "dcat:distribution", _encrypted_version(steward, statistics)
    samples = [
        file_distribution(
            "Data dictionary",
            "Names, meanings, units, limits and codes of all columns, as CSVW metadata",
            file=CSVW_FILE,
            file_type="JSON_LD",
            media_type="application/csvm+json",
        )
    ]
    if twin is not None:
        samples.append(
            file_distribution(
                "SYNTHETIC twin of the dataset", twin, file=TWIN_FILE, file_type="CSV", media_type="text/csv"
            )
        )
    yield "adms:sample", samples
    yield (
        "healthdcatap:analytics",
        file_distribution(
            "Rounded statistics of all columns",
            "Counts to the nearest 5 and none under 10, percentiles on coarse steps; "
            "no minimum, no maximum, no patient's value",
            file=STATISTICS_FILE,
            file_type="JSON",
            media_type="application/json",
        ),
    )


def _encrypted_version(steward: StewardDictionary, statistics: DatasetStatistics) -> Node:
    """Return the dataset's own distribution: it can only be analysed, so its address is where access is asked for."""
    details = steward.catalogue
    return without_gaps(
        (
            ("@type", "dcat:Distribution"),
            ("dct:title", english("Encrypted dataset version, for analysis in attested enclaves")),
            (
                "dct:description",
                english(
                    f"Dataset {statistics.dataset}: rows can't be obtained, only results that pass disclosure rules"
                ),
            ),
            ("dcat:accessURL", link(details.conditions) if details.conditions else None),
            ("dct:license", link(details.licence) if details.licence else None),
            ("dcatap:applicableLegislation", link(vocabulary.EHDS_REGULATION)),
        )
    )
