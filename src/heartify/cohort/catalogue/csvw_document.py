"""`dictionary.csvw.json`: the data dictionary as CSVW metadata of the synthetic twin, for other tools.

It describes the columns of `synthetic-twin.csv` in their order, so that a CSVW validator can check that file. What CSVW
has no word for (unit, role, codes) is said with QUDT, schema.org and SKOS, whose meaning others know.

Sources: W3C Metadata Vocabulary for Tabular Data (2015) sections 5.3 to 5.8; QUDT ucumCode; SKOS; schema.org.
"""

from __future__ import annotations

from heartify.cohort.catalogue.csvw_columns import csvw_datatype, csvw_name, described, property_url
from heartify.cohort.catalogue.twin_file import MARK, MARK_COLUMN, TWIN_FILE
from heartify.cohort.catalogue.vocabulary import SNOMED_CONCEPT
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.dictionary import Column, DataDictionary

CSVW_FILE = "dictionary.csvw.json"
CSVW_CONTEXT = "http://www.w3.org/ns/csvw"
UCUM_CODE = "http://qudt.org/schema/qudt/ucumCode"

Node = dict[str, object]


def encode_csvw(dictionary: DataDictionary) -> bytes:
    """Return the dictionary as CSVW metadata, in canonical JSON."""
    return encode_canonical(
        {
            "@context": [CSVW_CONTEXT, {"@language": "und"}],
            "@type": "Table",
            "url": TWIN_FILE,
            "dc:title": dictionary.title,
            "dc:description": dictionary.description,
            "dc:conformsTo": "https://www.w3.org/TR/tabular-metadata/",
            "dialect": {"header": True, "delimiter": ",", "encoding": "utf-8"},
            "tableSchema": {
                "@type": "Schema",
                "columns": [_mark_column(), *(_describe(column) for column in dictionary.columns)],
            },
        }
    )


def _mark_column() -> Node:
    return {
        "@type": "Column",
        "name": MARK_COLUMN,
        "titles": MARK_COLUMN,
        "required": True,
        "suppressOutput": True,
        "datatype": {"base": "string", "format": MARK},
        "dc:description": "Says in every row that no patient stands behind it",
    }


def _describe(column: Column) -> Node:
    node: Node = {
        "@type": "Column",
        "name": csvw_name(column.name),
        # The header of the file must be among the titles (Model for Tabular Data, section 8.10).
        "titles": list(dict.fromkeys((column.name, column.title))),
        "rdfs:label": column.title,
        "dc:description": described(column),
        "datatype": csvw_datatype(column) if column.role != "id" else {"base": "string"},
        "null": list(column.missing_codes),
        "required": False,
        "schema:additionalProperty": _properties(column),
    }
    if column.unit != "1":
        node[UCUM_CODE] = column.unit
    if (url := property_url(column)) is not None:
        node["propertyUrl"] = url
    if column.snomed is not None:
        node["dc:subject"] = {"@id": SNOMED_CONCEPT + column.snomed}
    if column.levels:
        node["dc:conformsTo"] = _levels(column)
    return node


def _levels(column: Column) -> Node:
    """Return the levels as a concept scheme: notation is what stands in the data, prefLabel what it means."""
    concepts = [
        {
            "@type": "skos:Concept",
            "skos:notation": level.code,
            "skos:prefLabel": level.label,
            "schema:position": position,
        }
        for position, level in enumerate(column.levels)
    ]
    return {"@type": "skos:ConceptScheme", "skos:hasTopConcept": concepts}


def _properties(column: Column) -> list[Node]:
    """Return what only Heartify's dictionary says, as named values."""
    values: dict[str, object] = {"role": column.role, "datatype": column.datatype, "filterable": column.filterable}
    if column.datatype == "number":
        values["precision"] = column.precision
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.omop is not None:
        values["omop_concept_id"] = column.omop
    if not column.description:
        values["described"] = False  # dc:description repeats the title
    return [
        {"@type": "schema:PropertyValue", "schema:name": name, "schema:value": value} for name, value in values.items()
    ]
