"""One row for each patient of the cohort: every column's value side by side, and as batches in table form.

Values of all kinds are held as one number until here: booleans as 0 and 1, levels by their position, dates in days.

Table made: derived (row number, key, one column for each of the dictionary's).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.events.derivation import ColumnDerivation
from heartify.cohort.events.event_store import EventStore, Parameter
from heartify.cohort.events.factors import add_coded, add_condition, add_measurement
from heartify.cohort.events.mapping import (
    AgeColumn,
    CodedColumn,
    ColumnRule,
    ConditionColumn,
    DateColumn,
    IdColumn,
    Mapping,
    MeasurementColumn,
    OutcomeColumn,
    SexColumn,
    TimeColumn,
)
from heartify.cohort.events.mapping_checks import level_value
from heartify.cohort.events.needs import Need, Needs
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.table_form import table_schema, table_type
from heartify.cohort.units.conversion import find_conversion
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

DAYS_OF_A_YEAR = 365.25

_AGE_IN_YEARS = "SELECT patient, $number, age FROM cohort WHERE age IS NOT NULL"
_EXACT_AGE = (
    "SELECT patient, $number, (cohort.day - birth) / $year FROM cohort JOIN patient USING (patient) "
    "WHERE birth IS NOT NULL"
)
_SEX = "SELECT patient, $number, CAST($value AS DOUBLE) FROM cohort JOIN patient USING (patient) WHERE sex = $sex"
_INDEX_DATE = "SELECT patient, $number, day - DATE '1970-01-01' FROM cohort"


@dataclass(frozen=True, slots=True)
class _Making:
    """What a column is made with. `number` is its place in the dictionary."""

    store: EventStore
    mapping: Mapping
    need: Need | None
    column: Column
    number: int

    def events(self) -> Need:
        """Return the column's need; a column of events has one."""
        if self.need is None:
            raise InputError(f"mapping column '{self.column.name}' has no codes", hint="list them")
        return self.need


def add_column(
    store: EventStore, mapping: Mapping, rule: ColumnRule, needs: Needs, dictionary: DataDictionary
) -> Counter[str]:
    """Add one column's values to the table `value`; return counts by `derivation.COLUMN_COUNTS`.

    Raises InputError when the mapping refuses what the source holds.
    """
    number = [column.name for column in dictionary.columns].index(rule.name)
    column = dictionary.columns[number]
    add = _ADDERS[type(rule)]
    return add(_Making(store, mapping, needs.by_column.get(rule.name), column, number), rule)


def build_rows(store: EventStore, dictionary: DataDictionary) -> int:
    """Put every column's values side by side, one row for each patient of the cohort; return the number of rows."""
    picked = ", ".join(f"max(value) FILTER (WHERE number = {n}) AS c{n}" for n in range(len(dictionary.columns)))
    store.run(
        "CREATE TABLE derived AS SELECT row_number() OVER (ORDER BY patient) - 1 AS row, * FROM ("  # noqa: S608 - ours
        f"SELECT patient, any_value(key) AS key, {picked} FROM cohort JOIN patient USING (patient) "
        "LEFT JOIN value USING (patient) GROUP BY patient)"
    )
    return store.count("SELECT count(*) FROM derived")


def count_columns(
    store: EventStore, mapping: Mapping, dictionary: DataDictionary, counts: dict[str, Counter[str]]
) -> dict[str, ColumnDerivation]:
    """Return each column's report, in the dictionary's order."""
    rows = store.count("SELECT count(*) FROM derived")
    ids = {rule.name for rule in mapping.columns if isinstance(rule, IdColumn)}
    reports = {}
    for number, column in enumerate(dictionary.columns):
        known = rows if column.name in ids else store.count(f"SELECT count(c{number}) FROM derived")  # noqa: S608
        reports[column.name] = ColumnDerivation(known=known, missing=rows - known, counts=dict(counts[column.name]))
    return reports


def batches_of(store: EventStore, dictionary: DataDictionary, start_row: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield rows in table form from `start_row` on, in the order of patients."""
    names = ", ".join(f"c{n}" for n in range(len(dictionary.columns)))
    schema = table_schema(dictionary)
    query = f"SELECT key, {names} FROM derived WHERE row >= $start AND row < $stop ORDER BY row"  # noqa: S608 - ours
    for start in range(start_row, rows, BATCH_ROWS):
        table = store.arrow(query, {"start": start, "stop": start + BATCH_ROWS}).combine_chunks()
        key = table.column(0).combine_chunks()
        arrays = [
            _table_form(table.column(number + 1).combine_chunks(), key, column)
            for number, column in enumerate(dictionary.columns)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _table_form(values: pa.Array, key: pa.Array, column: Column) -> pa.Array:
    if column.role == "id":
        return key
    if column.datatype == "number":
        return values
    whole = pc.cast(values, pa.int32() if column.datatype in {"category", "date"} else pa.int64())
    if column.datatype == "category":
        return pa.DictionaryArray.from_arrays(whole, pa.array(column.level_codes, pa.string()))
    return pc.cast(whole, table_type(column))


def _insert(store: EventStore, select: str, parameters: dict[str, Parameter]) -> None:
    store.run(f"INSERT INTO value {select}", parameters)


def _add_measurement(making: _Making, rule: MeasurementColumn) -> Counter[str]:
    return add_measurement(making.store, making.number, rule, making.column, making.events())


def _add_coded(making: _Making, rule: CodedColumn) -> Counter[str]:
    return add_coded(making.store, making.number, rule, making.events())


def _add_condition(making: _Making, rule: ConditionColumn) -> Counter[str]:
    return add_condition(making.store, making.number, rule, making.events())


def _add_sex(making: _Making, rule: SexColumn) -> Counter[str]:
    for sex, level in (("male", rule.male), ("female", rule.female), ("other", rule.other)):
        if level is not None:
            value = level_value(level, making.column)
            _insert(making.store, _SEX, {"number": making.number, "sex": sex, "value": value})
    return Counter()


def _add_age(making: _Making, rule: AgeColumn) -> Counter[str]:
    del rule
    if making.column.datatype == "integer":
        _insert(making.store, _AGE_IN_YEARS, {"number": making.number})
    else:
        _insert(making.store, _EXACT_AGE, {"number": making.number, "year": DAYS_OF_A_YEAR})
    return _finish(making)


def _add_outcome(making: _Making, rule: OutcomeColumn) -> Counter[str]:
    followed = f"followed_{making.mapping.outcomes.index(rule)} JOIN cohort USING (patient)"
    _insert(
        making.store,
        f"SELECT patient, $number, value FROM {followed} WHERE value IS NOT NULL",  # noqa: S608 - ours
        {"number": making.number},
    )
    counts: Counter[str] = Counter()
    for key, condition in (("after-observation", "is_late"), ("uncertain", "happened = 'unknown'")):
        counts[key] = making.store.count(f"SELECT count(*) FROM {followed} WHERE {condition}")  # noqa: S608 - ours
    return counts


def _add_time(making: _Making, rule: TimeColumn) -> Counter[str]:
    position = [outcome.name for outcome in making.mapping.outcomes].index(rule.outcome)
    conversion = find_conversion("d", making.column.unit)
    _insert(
        making.store,
        f"SELECT patient, $number, days * $scale + $shift FROM followed_{position} "  # noqa: S608 - ours
        "JOIN cohort USING (patient) WHERE days IS NOT NULL",
        {"number": making.number, "scale": conversion.scale, "shift": conversion.shift},
    )
    return _finish(making)


def _add_date(making: _Making, rule: DateColumn) -> Counter[str]:
    del rule
    _insert(making.store, _INDEX_DATE, {"number": making.number})
    return Counter()


def _add_id(making: _Making, rule: IdColumn) -> Counter[str]:
    del making, rule  # the key is taken from the patient's own row
    return Counter()


def _finish(making: _Making) -> Counter[str]:
    """Round a column's values to its decimals, and leave out and count those outside its limits."""
    store, column, number = making.store, making.column, making.number
    decimals = 0 if column.datatype == "integer" else column.decimals
    if decimals is not None:
        store.run(f"UPDATE value SET value = round(value, {decimals}) WHERE number = {number}")  # noqa: S608 - ours
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    limits: dict[str, Parameter] = {"number": number, "low": float(low), "high": float(high)}
    outside = "number = $number AND (value < $low OR value > $high)"
    counts: Counter[str] = Counter()
    counts["outside-limits"] = store.count(f"SELECT count(*) FROM value WHERE {outside}", limits)  # noqa: S608 - ours
    store.run(f"DELETE FROM value WHERE {outside}", limits)  # noqa: S608 - constants of this file
    return counts


_ADDERS: dict[type[ColumnRule], Callable[..., Counter[str]]] = {
    AgeColumn: _add_age,
    SexColumn: _add_sex,
    MeasurementColumn: _add_measurement,
    CodedColumn: _add_coded,
    ConditionColumn: _add_condition,
    OutcomeColumn: _add_outcome,
    TimeColumn: _add_time,
    DateColumn: _add_date,
    IdColumn: _add_id,
}
