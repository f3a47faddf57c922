"""The dictionary as CSVW: linked data for others, the same dictionary for us, a description of the twin's file."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from rdflib import Graph

from heartify.cohort.catalogue.csvw_document import encode_csvw
from heartify.cohort.catalogue.csvw_reading import read_csvw
from heartify.cohort.catalogue.twin_file import build_twin
from heartify.cohort.survey import Survey
from heartify.errors import DocumentError
from heartify.protocol.dictionary import Column, DataDictionary, Level

from .conftest import boolean, category, dictionary_of, integer, number

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own

RICH = dictionary_of(
    Column(name="patient", title="Patient number", datatype="category", role="id"),
    number("_sys-bp.1", unit="mm[Hg]", loinc="8480-6", minimum=40, maximum=350, missing_codes=("", "0"), decimals=1),
    number(
        "crp",
        unit="mg/L",
        minimum=0.1,
        precision="single",
        description="By nephelometry",
        snomed="55235003",
        omop=3020460,
    ),
    integer("count", maximum=9),
    boolean("smoker", role="filter", filterable=True),
    category("cp", "1", "a|b", "(x)", role="outcome"),
    Column(name="visit", title="First visit", datatype="date", role="time", missing_codes=()),
)

# The parts of the CSVW context (https://www.w3.org/ns/csvw) that the document uses, so that nothing is fetched.
CONTEXT = {
    "@vocab": "http://www.w3.org/ns/csvw#",
    "dc": "http://purl.org/dc/terms/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "propertyUrl": {"@type": "@id"},
    "url": {"@type": "@id"},
    "columns": {"@id": "http://www.w3.org/ns/csvw#column", "@container": "@list"},
}


def columns_of(dictionary: DataDictionary) -> list[dict[str, Any]]:
    return list(json.loads(encode_csvw(dictionary))["tableSchema"]["columns"])


def test_a_dictionary_comes_back_as_it_was() -> None:
    assert read_csvw(encode_csvw(RICH)) == RICH


def test_a_real_dictionary_comes_back_as_it_was(demo_dictionary: DataDictionary) -> None:
    assert read_csvw(encode_csvw(demo_dictionary)) == demo_dictionary


def test_a_column_has_what_csvw_and_the_catalogue_ask_for() -> None:
    column = columns_of(RICH)[2]

    assert column["name"] == "%5Fsys%2Dbp%2E1"
    assert column["titles"] == ["_sys-bp.1"]
    assert column["datatype"] == {"base": "decimal", "minimum": 40, "maximum": 350}
    assert column["null"] == ["", "0"]
    assert column["propertyUrl"] == "https://loinc.org/8480-6"
    assert column["http://qudt.org/schema/qudt/ucumCode"] == "mm[Hg]"


def test_a_level_is_matched_by_the_format_and_nothing_else_is() -> None:
    pattern = columns_of(RICH)[6]["datatype"]["format"]

    assert all(re.fullmatch(pattern, code) for code in ("1", "a|b", "(x)"))
    assert not re.fullmatch(pattern, "a")


def test_others_read_it_as_linked_data() -> None:
    document = json.loads(encode_csvw(RICH))
    assert document["@context"][0] == "http://www.w3.org/ns/csvw"
    graph = Graph().parse(
        data=json.dumps(document | {"@context": CONTEXT}), format="json-ld", publicID="https://s.example/"
    )

    rows = graph.query(
        """PREFIX skos: <http://www.w3.org/2004/02/skos/core#> PREFIX csvw: <http://www.w3.org/ns/csvw#>
           PREFIX dc: <http://purl.org/dc/terms/>
           SELECT ?label WHERE { ?c csvw:name "cp" ; dc:conformsTo/skos:hasTopConcept ?l . ?l skos:notation "a|b" ;
                          skos:prefLabel ?label }"""
    )

    assert [str(row.label) for row in rows] == ["level a|b"]


def test_its_columns_are_those_of_the_twins_file(demo_survey: Survey, demo_dictionary: DataDictionary) -> None:
    twin = build_twin(demo_survey.sample, demo_dictionary, rows=1500, random=np.random.default_rng(1))

    header = next(csv.reader(io.StringIO(twin.decode())))
    columns = columns_of(demo_dictionary)
    assert len(header) == len(columns)
    assert all(name in column["titles"] for name, column in zip(header, columns, strict=True))


def test_foreign_csvw_with_plain_datatypes_is_read() -> None:
    document = {
        "@context": "http://www.w3.org/ns/csvw",
        "@type": "Table",
        "url": "cohort.csv",
        "dc:title": "Cohort",
        "tableSchema": {
            "columns": [
                {"name": "age", "titles": "Age", "datatype": "integer"},
                {"name": "bmi", "datatype": {"base": "number", "minimum": 10}, "null": "NA"},
                {
                    "name": "sex",
                    "dc:conformsTo": {
                        "skos:hasTopConcept": [
                            {"skos:notation": "f", "skos:prefLabel": "female"},
                            {"skos:notation": "m", "skos:prefLabel": "male"},
                        ]
                    },
                },
            ]
        },
    }

    dictionary = read_csvw(json.dumps(document).encode())

    age, bmi, sex = dictionary.columns
    assert (age.title, age.datatype, age.role) == ("Age", "integer", "factor")
    assert (bmi.minimum, bmi.missing_codes) == (10, ("NA",))
    assert sex.levels == (Level(code="f", label="female"), Level(code="m", label="male"))


@pytest.mark.parametrize(
    "change",
    [
        {"@type": "TableGroup"},
        {"tableSchema": []},
        {"tableSchema": {"columns": "x"}},
        {"tableSchema": {"columns": [7]}},
        {"tableSchema": {"columns": [{"titles": "x"}]}},
        {"tableSchema": {"columns": [{"name": "x", "null": 7}]}},
        {"tableSchema": {"columns": [{"name": "x", "datatype": 7}]}},
        {
            "tableSchema": {
                "columns": [{"name": "x", "datatype": "number", "dc:conformsTo": {"skos:hasTopConcept": "x"}}]
            }
        },
        {"tableSchema": {"columns": [{"name": "x", "datatype": "string"}]}},
        {"dc:title": 7},
    ],
)
def test_what_makes_no_dictionary_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(encode_csvw(RICH)) | change

    with pytest.raises(DocumentError):
        read_csvw(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 10_000, b"7", b"\xff"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        read_csvw(data)


def test_a_change_of_the_dictionary_changes_the_document() -> None:
    other = msgspec.structs.replace(RICH, title="Other")

    assert encode_csvw(other) != encode_csvw(RICH)
