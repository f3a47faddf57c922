"""Factors: what stood in the record inside a window, and before any outcome. One statement decides it for every pick.

An event is usable when it lies inside the window and its latest possible day is strictly before the earliest possible
day of the patient's first outcome. Every factor is taken from the table `usable` that this rule fills, so no pick, unit
or code can let a later event in.

Tables made: usable (for one column at a time), value (patient, column, number).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from heartify.cohort.events.event_store import EventStore, Parameter
from heartify.cohort.events.mapping import MAX_DAYS, CodedColumn, ConditionColumn, MeasurementColumn
from heartify.cohort.events.mapping_checks import conversion_loinc
from heartify.cohort.events.needs import Need
from heartify.cohort.units.conversion import find_conversion
from heartify.errors import InputError
from heartify.protocol.dictionary import Column

MAX_UNITS = 1000
EVER = -(10 * MAX_DAYS)
_ALWAYS_KNOWN = "1"

_READING = """
CREATE TABLE reading AS
SELECT h.*, u.scale, u.shift, u.status AS unit_status, value * u.scale + u.shift AS converted
FROM happening h JOIN unit u ON h.unit IS NOT DISTINCT FROM u.unit
WHERE h.need = $need
"""
_JUDGED = """
CREATE TABLE judged_reading AS
SELECT *,
       CASE WHEN value IS NULL OR NOT isfinite(value) THEN 'without-value'
            WHEN comparator IS NOT NULL AND NOT ($limit AND comparator <> '?') THEN 'with-comparator'
            WHEN unit_status <> 'ok' THEN unit_status
            WHEN round(converted, $decimals) < $minimum OR round(converted, $decimals) > $maximum
                 OR NOT isfinite(converted) THEN 'outside-limits'
            ELSE 'ok' END AS status
FROM reading
"""
_INSIDE = "coalesce(e.day, e.first) >= c.day + $start AND e.last <= c.day + $stop"
_USABLE = f"""
CREATE TABLE usable AS
SELECT e.patient, e.number, e.last, e.moment, e.kind, e.id_high, e.id_low, e.part
FROM offered e JOIN limits c USING (patient)
WHERE {_INSIDE} AND (c.outcome_earliest IS NULL OR e.latest < c.outcome_earliest)
"""  # noqa: S608 - constants of this file
_HELD_BACK = f"""
SELECT count(*) FROM offered e JOIN limits c USING (patient)
WHERE {_INSIDE} AND NOT (c.outcome_earliest IS NULL OR e.latest < c.outcome_earliest)
"""  # noqa: S608 - constants of this file
# Ties are broken by what the record says of itself, so that the order of files and rows makes no difference.
_ORDER = "(last, coalesce(moment, TIMESTAMP '0001-01-01'), kind, id_high, id_low, part)"
_PICKS = {
    "last": f"arg_max(number, {_ORDER})",
    "first": f"arg_min(number, {_ORDER})",
    "mean": "avg(number ORDER BY number)",  # in one order: the last digit of a sum depends on it
    "median": "median(number)",
    "minimum": "min(number)",
    "maximum": "max(number)",
    "any": "1.0",
}


@dataclass(frozen=True, slots=True)
class Window:
    """The days around the index date that a factor is taken from, both inclusive."""

    start: int
    stop: int


def add_measurement(
    store: EventStore, number: int, rule: MeasurementColumn, column: Column, need: Need
) -> Counter[str]:
    """Add a measurement's values for column `number`; return counts by `derivation.COLUMN_COUNTS`.

    Raises InputError when the mapping refuses rows without a unit, in other units or with comparators, and there are.
    """
    _add_units(store, rule, column, need)
    store.run(_READING, {"need": need.number})
    decimals = 0 if column.datatype == "integer" else column.decimals
    limits: dict[str, Parameter] = {
        "limit": rule.comparators == "use_limit",
        "decimals": 12 if decimals is None else decimals,
        "minimum": column.minimum,
        "maximum": column.maximum,
    }
    store.run(_JUDGED, limits)
    counts = _count_readings(store)
    _check_refusals(rule, counts)
    store.run("CREATE VIEW offered AS SELECT *, converted AS number FROM judged_reading WHERE status = 'ok'")
    counts["held-back"] = _take(store, number, Window(*rule.window_days), rule.pick, decimals)
    for name in ("reading", "judged_reading", "unit"):
        store.run(f"DROP TABLE {name}")
    return counts


def add_coded(store: EventStore, number: int, rule: CodedColumn, need: Need) -> Counter[str]:
    """Add the levels of a coded answer; answers that the mapping doesn't list are passed over."""
    parameters: dict[str, Parameter] = {"need": need.number}
    counts: Counter[str] = Counter()
    counts["events"] = store.count("SELECT count(*) FROM happening WHERE need = $need", parameters)
    counts["without-value"] = store.count(
        "SELECT count(*) FROM happening WHERE need = $need AND value IS NULL", parameters
    )
    store.run(
        f"CREATE VIEW offered AS SELECT *, value AS number FROM happening "  # noqa: S608 - a number of ours
        f"WHERE need = {need.number} AND value IS NOT NULL"
    )
    counts["held-back"] = _take(store, number, Window(*rule.window_days), rule.pick, 0)
    return counts


def add_condition(store: EventStore, number: int, rule: ConditionColumn, need: Need) -> Counter[str]:
    """Add true for every patient of the cohort with the condition inside the window, false for the others."""
    counts: Counter[str] = Counter()
    counts["events"] = store.count("SELECT count(*) FROM happening WHERE need = $need", {"need": need.number})
    store.run(
        f"CREATE VIEW offered AS SELECT *, 1.0 AS number FROM happening "  # noqa: S608 - a number of ours
        f"WHERE need = {need.number}"
    )
    window = Window(EVER, 0) if rule.window_days is None else Window(*rule.window_days)
    counts["held-back"] = _take(store, number, window, "any", 0)
    store.run(
        "INSERT INTO value SELECT patient, $number, 0.0 FROM cohort "
        "WHERE patient NOT IN (SELECT patient FROM value WHERE number = $number)",
        {"number": number},
    )
    return counts


def _take(store: EventStore, number: int, window: Window, pick: str, decimals: int | None) -> int:
    """Add the picked value of each patient's usable events; return how many events an outcome held back."""
    parameters: dict[str, Parameter] = {"start": window.start, "stop": window.stop}
    held_back = store.count(_HELD_BACK, parameters)
    store.run(_USABLE, parameters)
    picked = _PICKS[pick] if decimals is None else f"round({_PICKS[pick]}, {decimals})"
    store.run(
        f"INSERT INTO value SELECT patient, {number}, {picked} FROM usable GROUP BY patient"  # noqa: S608 - ours
    )
    store.run("DROP VIEW offered")
    store.run("DROP TABLE usable")
    return held_back


def _add_units(store: EventStore, rule: MeasurementColumn, column: Column, need: Need) -> None:
    """Make the table of units: for each that stands in the source, how it converts, or why it doesn't."""
    found = store.rows("SELECT DISTINCT unit FROM happening WHERE need = $need", {"need": need.number})
    if len(found) > MAX_UNITS:
        raise InputError(
            f"mapping column '{column.name}': more than {MAX_UNITS} different units in the source",
            hint="something else than units stands in the unit's place",
        )
    units = [None if unit is None else str(unit) for (unit,) in found]
    ways = [_way(unit, rule, column) for unit in units]
    store.add_table(
        "unit",
        pa.table(
            {
                "unit": pa.array(units, pa.string()),
                "scale": pa.array([way[0] for way in ways], pa.float64()),
                "shift": pa.array([way[1] for way in ways], pa.float64()),
                "status": pa.array([way[2] for way in ways], pa.string()),
            }
        ),
    )


def _way(unit: str | None, rule: MeasurementColumn, column: Column) -> tuple[float | None, float | None, str]:
    if unit is None:
        if rule.assume_unit is None and column.unit != _ALWAYS_KNOWN:
            return None, None, "without-unit"
        unit = rule.assume_unit or column.unit
    try:
        conversion = find_conversion(unit, column.unit, loinc=conversion_loinc(rule, column))
    except InputError:
        return None, None, "other-unit"
    return conversion.scale, conversion.shift, "ok"


def _count_readings(store: EventStore) -> Counter[str]:
    counts: Counter[str] = Counter()
    for status, rows, converted in store.rows(
        "SELECT status, count(*), count(*) FILTER (WHERE scale <> 1 OR shift <> 0) FROM judged_reading GROUP BY status"
    ):
        if isinstance(status, str) and isinstance(rows, int) and isinstance(converted, int):
            counts["events"] += rows
            counts["converted"] += converted if status == "ok" else 0
            if status != "ok":
                counts[status] += rows
    return counts


def _check_refusals(rule: MeasurementColumn, counts: Counter[str]) -> None:
    for key, choice, hint in (
        ("without-unit", rule.without_unit, "give assume_unit when their unit is known, or without_unit = 'count'"),
        ("other-unit", rule.other_units, "correct them at the source, or write other_units = 'count'"),
        ("with-comparator", rule.comparators, "write comparators = 'count' to leave them out, or 'use_limit'"),
    ):
        if choice == "refuse" and counts[key]:
            raise InputError(
                f"mapping column '{rule.name}': {counts[key]} event(s) are {key.replace('-', ' ')}", hint=hint
            )
