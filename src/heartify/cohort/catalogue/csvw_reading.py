"""A data dictionary back from the CSVW form that `csvw_document` writes; foreign CSVW as far as it says what is needed.

The bytes are not trusted: size, nesting and every field are checked, and the dictionary checks itself. What a foreign
file doesn't say gets the dictionary's defaults: role factor, no unit. Nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from heartify.cohort.catalogue.csvw_columns import column_name
from heartify.cohort.catalogue.csvw_document import UCUM_CODE
from heartify.cohort.catalogue.twin_file import MARK_COLUMN
from heartify.cohort.catalogue.vocabulary import LOINC_TERM, SNOMED_CONCEPT
from heartify.errors import DocumentError
from heartify.protocol.canonical import parse_json
from heartify.protocol.dictionary import DataDictionary

_DATATYPES = {
    "boolean": "boolean",
    "date": "date",
    "string": "category",
    **dict.fromkeys(("double", "number", "decimal", "float"), "number"),
    **dict.fromkeys(("integer", "int", "long", "short", "nonNegativeInteger"), "integer"),
}

Fields = dict[str, Any]


def read_csvw(data: bytes) -> DataDictionary:
    """Read a dictionary from CSVW metadata of one table.

    Raises DocumentError when it is malformed, of another kind, or no dictionary can be made of it.
    """
    document = parse_json(data, dict[str, Any])
    columns = _mapping(document.get("tableSchema"), "tableSchema").get("columns")
    if document.get("@type") != "Table" or not isinstance(columns, list):
        raise DocumentError("this is no CSVW metadata of a table", hint="expected @type Table and a tableSchema")
    described = [_column(_mapping(column, "a column")) for column in columns]
    fields = {
        "format": "heartify.dictionary/2",
        "title": document.get("dc:title"),
        "description": document.get("dc:description", ""),
        "columns": [column for column in described if column["name"] != MARK_COLUMN],
    }
    try:
        return msgspec.convert(fields, DataDictionary, strict=True)
    except msgspec.ValidationError as exc:
        raise DocumentError(f"the CSVW metadata make no dictionary: {exc}") from exc


def _column(node: Mapping[str, Any]) -> Fields:
    name = column_name(_text(node, "name"))
    datatype = node.get("datatype", "string")
    datatype = {"base": datatype} if isinstance(datatype, str) else _mapping(datatype, f"datatype of '{name[:64]}'")
    own = _properties(node)
    fields: Fields = {
        "name": name,
        "title": node.get("rdfs:label") or _last_title(node) or name,
        "datatype": own.get("datatype") or _DATATYPES.get(str(datatype.get("base", "string")), "category"),
        "role": own.get("role", "factor"),
        "missing_codes": _texts(node.get("null", "")),
        "levels": _levels(node.get("dc:conformsTo")),
    }
    optional = {
        "unit": node.get(UCUM_CODE),
        "minimum": datatype.get("minimum"),
        "maximum": datatype.get("maximum"),
        "decimals": own.get("decimals"),
        "precision": own.get("precision"),
        "filterable": own.get("filterable"),
        "omop": own.get("omop_concept_id"),
        "description": node.get("dc:description") if own.get("described", True) else None,
        "loinc": _after(node.get("propertyUrl"), LOINC_TERM),
        "snomed": _after(_subject(node), SNOMED_CONCEPT) or _after(node.get("propertyUrl"), SNOMED_CONCEPT),
    }
    return fields | {key: value for key, value in optional.items() if value is not None}


def _properties(node: Mapping[str, Any]) -> Fields:
    values = node.get("schema:additionalProperty", [])
    entries = values if isinstance(values, list) else [values]
    return {str(entry.get("schema:name")): entry.get("schema:value") for entry in entries if isinstance(entry, Mapping)}


def _levels(scheme: Any) -> list[Fields]:
    concepts = scheme.get("skos:hasTopConcept", []) if isinstance(scheme, Mapping) else []
    if not isinstance(concepts, list) or not all(isinstance(concept, Mapping) for concept in concepts):
        raise DocumentError("the CSVW metadata's codes are no list of concepts")
    # A foreign file's concepts may have no position: they then stay in their order.
    ordered = sorted(enumerate(concepts), key=lambda item: (_position(item[1], item[0]), item[0]))
    return [{"code": concept.get("skos:notation"), "label": concept.get("skos:prefLabel")} for _, concept in ordered]


def _position(concept: Mapping[str, Any], default: int) -> int:
    position = concept.get("schema:position")
    return position if isinstance(position, int) else default


def _subject(node: Mapping[str, Any]) -> Any:
    subject = node.get("dc:subject")
    return subject.get("@id") if isinstance(subject, Mapping) else None


def _after(url: Any, start: str) -> str | None:
    return url.removeprefix(start) if isinstance(url, str) and url.startswith(start) else None


def _last_title(node: Mapping[str, Any]) -> str | None:
    titles = _texts(node.get("titles", []))
    return titles[-1] if titles else None


def _texts(value: Any) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DocumentError("the CSVW metadata have something else where texts are expected")
    return texts


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    if not isinstance(value, str) or not value:
        raise DocumentError(f"the CSVW metadata have a column without {key}")
    return value


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"the CSVW metadata: {what} is not an object")
    return value
