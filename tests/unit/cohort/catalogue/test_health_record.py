"""The HealthDCAT-AP record, read by others' programs: rdflib parses and queries it, pyshacl checks its shape."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from pathlib import Path

import msgspec
import pytest
from rdflib import Graph
from rdflib.compare import isomorphic

from heartify.cohort.catalogue.build_statistics import build_statistics
from heartify.cohort.catalogue.coded_details import missing_details
from heartify.cohort.catalogue.health_record import encode_record
from heartify.cohort.catalogue.turtle import to_turtle
from heartify.cohort.steward_dictionary import CatalogueDetails, Organisation, StewardDictionary
from heartify.cohort.survey import Survey
from heartify.errors import DocumentError
from heartify.protocol.dictionary import DataDictionary

from .conftest import DATASET, dictionary_of, integer, number, survey_of, table_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyshacl import validate

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own

SHAPES = Path(__file__).with_name("non_public.shapes.ttl")
BASE = "https://store.example/version/catalogue.jsonld"
PREFIXES = """
PREFIX adms: <http://www.w3.org/ns/adms#>
PREFIX csvw: <http://www.w3.org/ns/csvw#>
PREFIX dcat: <http://www.w3.org/ns/dcat#>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX foaf: <http://xmlns.com/foaf/0.1/>
PREFIX health: <http://healthdataportal.eu/ns/health#>
"""


def record_of(survey: Survey, steward: StewardDictionary, *, twin: str | None = "drawn") -> bytes:
    statistics = build_statistics(survey, steward.dictionary, dataset=DATASET)
    return encode_record(steward, statistics, issued=dt.date(2026, 11, 22), twin=twin)


def graph_of(record: bytes) -> Graph:
    return Graph().parse(data=record.decode(), format="json-ld", publicID=BASE)


def conforms(record: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(validate(graph_of(record), shacl_graph=Graph().parse(SHAPES))[0])


@pytest.fixture
def steward(demo_dictionary: DataDictionary, details: CatalogueDetails) -> StewardDictionary:
    return StewardDictionary(demo_dictionary, catalogue=details)


@pytest.fixture
def record(demo_survey: Survey, steward: StewardDictionary) -> bytes:
    return record_of(demo_survey, steward)


def test_a_record_with_all_details_has_the_shape_of_a_non_public_dataset(record: bytes) -> None:
    assert conforms(record)


@pytest.mark.parametrize(
    "field",
    [
        "publisher",
        "contact",
        "hdab",
        "keywords",
        "health_categories",
        "health_themes",
        "purpose",
        "provenance",
        "spatial",
        "conditions",
    ],
)
def test_each_missing_detail_is_named_and_breaks_the_shape(
    demo_survey: Survey, demo_dictionary: DataDictionary, details: CatalogueDetails, field: str
) -> None:
    empty = CatalogueDetails()
    lacking = StewardDictionary(
        demo_dictionary, catalogue=msgspec.structs.replace(details, **{field: getattr(empty, field)})
    )

    record = record_of(demo_survey, lacking)

    assert [detail.name for detail in missing_details(lacking)] == [field]
    assert not conforms(record)


def test_a_record_without_any_details_is_still_made(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    steward = StewardDictionary(demo_dictionary)

    graph = graph_of(record_of(demo_survey, steward))

    assert len(missing_details(steward)) == 10
    assert len(graph) > 50


def test_a_complete_steward_lacks_nothing(steward: StewardDictionary) -> None:
    assert missing_details(steward) == ()


def test_an_organisation_without_an_address_is_named(
    demo_dictionary: DataDictionary, details: CatalogueDetails
) -> None:
    nameless = msgspec.structs.replace(details, hdab=Organisation(name="Access body"))

    missing = missing_details(StewardDictionary(demo_dictionary, catalogue=nameless))

    assert [(detail.name, detail.reason) for detail in missing] == [("hdab", "an email or web address beside its name")]


def test_an_unknown_code_is_named_and_left_out(
    demo_survey: Survey, demo_dictionary: DataDictionary, details: CatalogueDetails
) -> None:
    wrong = msgspec.structs.replace(details, health_categories=("EHRS", "hearts"), spatial=("DE", "ZZ"))
    steward = StewardDictionary(demo_dictionary, catalogue=wrong)

    record = record_of(demo_survey, steward)

    assert [detail.name for detail in missing_details(steward)] == ["health_categories", "spatial"]
    assert b"hearts" not in record
    assert b"ZZ" not in record


def test_somebody_else_finds_title_publisher_and_size(record: bytes) -> None:
    rows = graph_of(record).query(
        PREFIXES
        + """SELECT ?title ?name ?n ?young ?old WHERE {
             ?d a dcat:Dataset ; dct:title ?title ; dct:publisher/foaf:name ?name ;
             health:numberOfRecords ?n ; health:minTypicalAge ?young ; health:maxTypicalAge ?old }"""
    )

    assert [tuple(value.toPython() for value in row) for row in rows] == [
        ("Generated cardiovascular cohort", 'Clinic "Nord"', 1500, 35, 75)
    ]


def test_somebody_else_finds_the_documents_beside_the_record(record: bytes) -> None:
    rows = graph_of(record).query(
        PREFIXES + "SELECT ?url WHERE { ?d adms:sample|health:analytics ?s . ?s dcat:downloadURL ?url }"
    )

    assert {str(row.url) for row in rows} == {
        f"https://store.example/version/{name}"
        for name in ("dictionary.csvw.json", "statistics.json", "synthetic-twin.csv")
    }


def test_somebody_else_finds_the_column_of_a_loinc_code(record: bytes) -> None:
    rows = graph_of(record).query(
        PREFIXES + "SELECT ?name WHERE { ?c csvw:propertyUrl <https://loinc.org/8480-6> ; csvw:name ?name }"
    )

    assert [str(row.name) for row in rows] == ["systolic"]


def test_a_record_without_a_twin_names_none(demo_survey: Survey, steward: StewardDictionary) -> None:
    record = record_of(demo_survey, steward, twin=None)

    assert b"synthetic-twin" not in record
    assert conforms(record)


def test_without_an_address_the_dataset_is_named_relative_to_the_record(
    demo_survey: Survey, demo_dictionary: DataDictionary
) -> None:
    record = record_of(demo_survey, StewardDictionary(demo_dictionary))

    assert json.loads(record)["@id"] == "#dataset"
    assert DATASET.encode() in record


def test_typical_ages_are_absent_where_statistics_hide_them() -> None:
    dictionary = dictionary_of(integer("age", unit="a"))
    survey = survey_of(table_of(dictionary, age=range(30, 130)), dictionary)

    record = record_of(survey, StewardDictionary(dictionary))

    assert b"TypicalAge" not in record


def test_only_published_columns_are_variables() -> None:
    dictionary = dictionary_of(
        msgspec.structs.replace(number("mrn"), role="id"), number("x", unit="mmol/L", snomed="77386006", omop=3004249)
    )
    survey = survey_of(table_of(dictionary, mrn=["1"] * 60, x=range(60)), dictionary)

    record = json.loads(record_of(survey, StewardDictionary(dictionary)))

    columns = record["healthdcatap:hasVariables"]["csvw:table"]["csvw:column"]
    assert [column["csvw:name"] for column in columns] == ["x"]
    assert columns[0]["csvw:propertyUrl"] == {"@id": "http://snomed.info/id/77386006"}
    systems = [system["@id"].rsplit("/", 1)[1] for system in record["healthdcatap:hasCodingSystem"]]
    assert systems == ["OHDSI-VOCAB", "SNOMED-CT", "UCUM"]


def test_turtle_says_the_same_as_json_ld(record: bytes) -> None:
    turtle = Graph().parse(data=to_turtle(record), format="turtle", publicID=BASE)

    assert isomorphic(turtle, graph_of(record))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"@id":"https://clinic.example/datasets/heart"', b'"@id":"https://x> . <y"'),
        (b'"@type":"dcat:Dataset"', b'"@type":"evil:Dataset"'),
        (b'"@type":"dcat:Dataset"', b'"@type":7'),
        (b'"dct:title":"Generated cardiovascular cohort"', b'"dct:title":7'),
        (b'"dct:title":"Generated cardiovascular cohort"', b'"dct:title":{"@value":7}'),
        (b'"@language":"en"', b'"@language":"en . <a> <b> <c>"'),
        (b"http://www.w3.org/ns/dcat#", b"http://www.w3.org/ns/other#"),
    ],
)
def test_a_record_that_could_break_out_of_turtle_is_refused(record: bytes, old: bytes, new: bytes) -> None:
    assert old in record

    with pytest.raises(DocumentError):
        to_turtle(record.replace(old, new, 1))
