"""The tables and columns of the OMOP CDM 5.4 that a cohort is made of, and their values made strict.

Whatever a table comes from (CSV, Parquet, a database), it leaves here with one type for each column. A value that
isn't of its type is refused with table, column and row; the value itself is never shown.

Source: OMOP Common Data Model 5.4, table definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from heartify.errors import InputError

Kind = Literal["id", "number", "date", "moment", "text"]

_TYPES: dict[Kind, pa.DataType] = {
    "id": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "moment": pa.timestamp("us"),
    "text": pa.string(),
}
_EXPECTED: dict[Kind, str] = {
    "id": "a whole number",
    "number": "a number",
    "date": "a date as YYYY-MM-DD",
    "moment": "a date and time",
    "text": "a text",
}
_WHOLE = r"^[+-]?[0-9]{1,18}$"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T].*)?$"


@dataclass(frozen=True, slots=True)
class OmopColumn:
    """A column of the CDM. Required ones must be there and hold no null."""

    name: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True, slots=True)
class OmopTable:
    """A table of the CDM. `concepts`: the columns by which rows are chosen."""

    name: str
    columns: tuple[OmopColumn, ...]
    concepts: tuple[str, ...] = ()


def _required(name: str, kind: Kind) -> OmopColumn:
    return OmopColumn(name, kind, required=True)


def _results(name: str) -> OmopTable:
    """Return the layout that MEASUREMENT and OBSERVATION share."""
    return OmopTable(
        name,
        (
            _required(f"{name}_id", "id"),
            _required("person_id", "id"),
            _required(f"{name}_concept_id", "id"),
            _required(f"{name}_date", "date"),
            OmopColumn(f"{name}_datetime", "moment"),
            OmopColumn("operator_concept_id", "id"),
            OmopColumn("value_as_number", "number"),
            OmopColumn("value_as_concept_id", "id"),
            OmopColumn("unit_concept_id", "id"),
            OmopColumn("unit_source_value", "text"),
            OmopColumn(f"{name}_source_concept_id", "id"),
        ),
        (f"{name}_concept_id", f"{name}_source_concept_id"),
    )


PERSON = OmopTable(
    "person",
    (
        _required("person_id", "id"),
        OmopColumn("gender_concept_id", "id"),
        OmopColumn("year_of_birth", "id"),
        OmopColumn("month_of_birth", "id"),
        OmopColumn("day_of_birth", "id"),
        OmopColumn("birth_datetime", "date"),
    ),
)
OBSERVATION_PERIOD = OmopTable(
    "observation_period",
    (
        _required("person_id", "id"),
        _required("observation_period_start_date", "date"),
        _required("observation_period_end_date", "date"),
    ),
)
DEATH = OmopTable("death", (_required("person_id", "id"), _required("death_date", "date")))
VISIT = OmopTable(
    "visit_occurrence",
    (_required("visit_occurrence_id", "id"), _required("person_id", "id"), _required("visit_start_date", "date")),
)
CONDITION = OmopTable(
    "condition_occurrence",
    (
        _required("condition_occurrence_id", "id"),
        _required("person_id", "id"),
        _required("condition_concept_id", "id"),
        _required("condition_start_date", "date"),
        OmopColumn("condition_source_concept_id", "id"),
    ),
    ("condition_concept_id", "condition_source_concept_id"),
)
MEASUREMENT = _results("measurement")
OBSERVATION = _results("observation")
CONCEPT = OmopTable(
    "concept",
    (_required("concept_id", "id"), _required("vocabulary_id", "text"), _required("concept_code", "text")),
)
TABLES = (PERSON, OBSERVATION_PERIOD, DEATH, VISIT, CONDITION, MEASUREMENT, OBSERVATION, CONCEPT)


def typed_rows(raw: pa.Table, table: OmopTable, *, first_row: int) -> pa.Table:
    """Return the table's columns in its order and types; `raw` has them by their names in small letters.

    Raises InputError naming table, column and row.
    """
    arrays = []
    for column in table.columns:
        where = f"{table.name}, column {column.name}"
        if column.name in raw.column_names:
            values = _typed(raw.column(column.name).combine_chunks(), column, where, first_row)
        elif column.required:
            raise InputError(f"{where}: the source doesn't have it", hint="the OMOP CDM 5.4 requires it")
        else:
            values = pa.nulls(raw.num_rows, _TYPES[column.kind])
        if column.required and values.null_count:
            row = first_row + int(pc.index(pc.is_null(values), pa.scalar(value=True)).as_py())
            raise InputError(f"{where}, row {row}: nothing stands there", hint="the OMOP CDM 5.4 requires a value")
        arrays.append(values)
    return pa.Table.from_arrays(arrays, names=[column.name for column in table.columns])


def _typed(values: pa.Array, column: OmopColumn, where: str, first_row: int) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    try:
        if not is_text:
            return _from_typed(values, column.kind)
        values = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        return _FROM_TEXT[column.kind](values)
    except pa.ArrowException:
        # Not chained: Arrow's message quotes the value.
        row = _first_bad_row(values, column.kind, is_text=is_text)
        place = "" if row is None else f", row {first_row + row}"
        raise InputError(
            f"{where}{place}: expected {_EXPECTED[column.kind]}", hint="correct the source: OMOP CDM 5.4 types"
        ) from None


def _from_typed(values: pa.Array, kind: Kind) -> pa.Array:
    if kind == "date" and pa.types.is_timestamp(values.type):
        return pc.cast(values, pa.date32(), safe=False)
    return pc.cast(values, _TYPES[kind], safe=kind != "moment")


def _from_whole(values: pa.Array) -> pa.Array:
    # Data frames write whole numbers with a zero fraction as soon as a column has a gap.
    values = pc.replace_substring_regex(values, r"\.0+$", "")
    return pc.cast(_matching(values, _WHOLE), pa.int64())


def _from_number(values: pa.Array) -> pa.Array:
    numbers = pc.cast(_matching(values, _NUMBER), pa.float64())
    if pc.any(pc.invert(pc.is_finite(numbers))).as_py():
        raise pa.ArrowInvalid
    return numbers


def _from_date(values: pa.Array) -> pa.Array:
    return pc.cast(pc.utf8_slice_codeunits(_matching(values, _DATE), 0, 10), pa.date32())


def _from_moment(values: pa.Array) -> pa.Array:
    # It only orders events of one day, so what isn't a time is none.
    text = pc.replace_substring(pc.utf8_slice_codeunits(values, 0, 19), "T", " ")
    return pc.cast(pc.strptime(text, "%Y-%m-%d %H:%M:%S", "s", error_is_null=True), pa.timestamp("us"))


def _matching(values: pa.Array, pattern: str) -> pa.Array:
    if not pc.all(pc.match_substring_regex(values, pattern), min_count=0).as_py():
        raise pa.ArrowInvalid
    return values


_FROM_TEXT: dict[Kind, Callable[[pa.Array], pa.Array]] = {
    "id": _from_whole,
    "number": _from_number,
    "date": _from_date,
    "moment": _from_moment,
    "text": lambda values: values,
}


def _first_bad_row(values: pa.Array, kind: Kind, *, is_text: bool) -> int | None:
    """Return the row whose value cannot be made of the type, found by halving; None when each alone can."""
    convert = _FROM_TEXT[kind] if is_text else lambda part: _from_typed(part, kind)
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
        except pa.ArrowException:
            high = middle
        else:
            low = middle
    return low if high else None
