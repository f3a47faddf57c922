"""Who is in the cohort, and from which day on: the index date of each patient, by generated SQL with bound parameters.

A rule gives candidates (measurements, visits, a day); the eligible one is chosen by what was known on its day, never by
what came after it. Only then the patients with an outcome at or before their index date, and the dead, are left out.

Tables made: patient (numbered in order of keys), happening (events of known patients), candidate, cohort, exclusion.
"""

from __future__ import annotations

from heartify.cohort.events.event_store import EventStore, Parameter
from heartify.cohort.events.mapping import (
    FirstCondition,
    FixedDate,
    IndexRule,
    LastMeasurement,
    Mapping,
    ObservationStart,
)
from heartify.cohort.events.needs import Needs
from heartify.errors import InputError

_AGE = (
    "date_diff('year', birth, placed.day) "
    "- CASE WHEN month(placed.day) * 100 + day(placed.day) < month(birth) * 100 + day(birth) "
    "THEN 1 ELSE 0 END"
)

_PATIENT = """
CREATE TABLE patient AS
SELECT CAST(row_number() OVER (ORDER BY try_cast(key AS HUGEINT) NULLS LAST, key) AS INTEGER) AS patient, *
FROM (SELECT DISTINCT key, birth, birth_earliest, sex FROM person)
"""
_DEATH = """
CREATE TABLE dead AS
SELECT patient,
       arg_min_null(coalesce(d.day, d.earliest), (d.earliest, d.latest)) AS day,
       arg_min_null(d.day, (d.earliest, d.latest)) AS exact_day,
       min(d.earliest) AS earliest, arg_min_null(d.latest, (d.earliest, d.latest)) AS latest,
       bool_or(d.is_dated) AS is_dated
FROM death d JOIN patient USING (key) GROUP BY patient
"""
_OBSERVED = """
CREATE TABLE observed AS
SELECT patient, p.first, p.last FROM period p JOIN patient USING (key)
UNION ALL
SELECT patient, min(c.first), coalesce($until, max(c.last)) FROM contact c JOIN patient USING (key)
GROUP BY patient
"""
_HAPPENING = """
CREATE TABLE happening AS
SELECT DISTINCT patient, event.* EXCLUDE (key) FROM event JOIN patient USING (key)
"""
_CANDIDATES_OF_EVENTS = """
CREATE TABLE candidate AS
SELECT patient, CASE WHEN day IS NOT NULL THEN last END AS day, latest,
       CASE WHEN day IS NULL THEN earliest ELSE last END AS sorted
FROM happening WHERE need = $need
"""
_CANDIDATES_OF_STARTS = """
CREATE TABLE candidate AS
SELECT patient, min(first) + $history AS day, min(first) + $history AS latest, min(first) + $history AS sorted
FROM observed GROUP BY patient
"""
_CANDIDATES_OF_A_DATE = """
CREATE TABLE candidate AS
SELECT patient, CAST($date AS DATE) AS day, CAST($date AS DATE) AS latest, CAST($date AS DATE) AS sorted FROM patient
"""
_JUDGED = f"""
CREATE TABLE judged AS
WITH placed AS (
    SELECT c.patient, c.day, any_value(c.latest) AS latest, any_value(c.sorted) AS sorted,
           min(o.first) AS first, max(o.last) AS last
    FROM (SELECT patient, day, sorted, max(latest) AS latest FROM candidate GROUP BY patient, day, sorted) c
    LEFT JOIN observed o ON o.patient = c.patient AND c.day BETWEEN o.first AND o.last
    GROUP BY c.patient, c.day, c.sorted
), aged AS (
    SELECT placed.*, birth, birth_earliest, {_AGE} AS age, dead.latest AS death_latest
    FROM placed JOIN patient USING (patient) LEFT JOIN dead USING (patient)
)
SELECT patient, day, latest, sorted, last, age,
       CASE WHEN death_latest < birth_earliest THEN 'death-before-birth'
            WHEN day IS NULL THEN 'index-date-partial'
            WHEN birth IS NULL AND ($minimum IS NOT NULL OR $maximum IS NOT NULL) THEN 'birth-unknown'
            WHEN day < birth_earliest THEN 'index-before-birth'
            WHEN first IS NULL THEN 'not-under-observation'
            WHEN day - first < $history THEN 'history-too-short'
            WHEN age < $minimum THEN 'too-young'
            WHEN age > $maximum THEN 'too-old'
            ELSE 'eligible' END AS status
FROM aged
"""  # noqa: S608 - constants of this file
_FIRST_ELIGIBLE = "status <> 'eligible', sorted"
_FIRST_EVER = "sorted"
_LAST_ELIGIBLE = "status <> 'eligible', sorted DESC"
_CHOSEN = """
CREATE TABLE chosen AS
SELECT * EXCLUDE (rank) FROM (
    SELECT *, row_number() OVER (PARTITION BY patient ORDER BY {order}, latest DESC, status) AS rank FROM judged
) WHERE rank = 1
"""
_JUDGED_AGAIN = """
CREATE TABLE entry AS
SELECT patient.patient, chosen.day, chosen.latest, chosen.last, chosen.age,
       CASE WHEN dead.latest < patient.birth_earliest THEN 'death-before-birth'
            WHEN chosen.status IS NULL THEN 'no-index-event'
            WHEN chosen.status <> 'eligible' THEN chosen.status
            WHEN NOT dead.is_dated THEN 'death-date-unknown'
            WHEN dead.day < chosen.day THEN 'died-before-index'
            WHEN first_outcome.earliest <= chosen.latest THEN 'outcome-before-index'
            ELSE 'eligible' END AS status
FROM patient LEFT JOIN chosen USING (patient) LEFT JOIN dead USING (patient)
LEFT JOIN (SELECT patient, min(earliest) AS earliest FROM outcome GROUP BY patient) first_outcome USING (patient)
"""


def number_patients(store: EventStore, mapping: Mapping) -> None:
    """Give every patient a number in the order of keys, and join deaths, periods and events to them.

    Raises InputError when a record stands there twice with different contents, or when there is no patient.
    """
    twice = store.count(
        "SELECT count(*) FROM (SELECT 1 FROM record GROUP BY kind, id_high, id_low HAVING min(content) <> max(content))"
    )
    if twice:
        raise InputError(
            f"{twice} record(s) stand in the source twice with different contents",
            hint="a record's id must be unique: remove the outdated copies, or export anew",
        )
    until = mapping.source.observed_until
    store.run(_PATIENT)
    if not store.count("SELECT count(*) FROM patient"):
        raise InputError("there is no patient in the source", hint="check folder, schema and mapping")
    store.run(_DEATH)
    store.run(_OBSERVED.replace("$until", "CAST($until AS DATE)"), {"until": until.isoformat() if until else None})
    store.run(_HAPPENING)


def find_index_dates(store: EventStore, mapping: Mapping, needs: Needs) -> None:
    """Choose each patient's index date and say who is left out; the table `outcome` must be there."""
    index = mapping.index
    _add_candidates(store, index, needs)
    store.run(
        _JUDGED,
        {"history": index.minimum_history_days, "minimum": index.minimum_age, "maximum": index.maximum_age},
    )
    order = _FIRST_ELIGIBLE
    if isinstance(index, LastMeasurement):
        order = _LAST_ELIGIBLE
    elif isinstance(index, FirstCondition):
        order = _FIRST_EVER
    store.run(_CHOSEN.format(order=order))
    store.run(_JUDGED_AGAIN)
    store.run("CREATE TABLE cohort AS SELECT patient, day, latest, last, age FROM entry WHERE status = 'eligible'")


def _add_candidates(store: EventStore, index: IndexRule, needs: Needs) -> None:
    if isinstance(index, ObservationStart):
        store.run(_CANDIDATES_OF_STARTS, {"history": index.minimum_history_days})
    elif isinstance(index, FixedDate):
        store.run(_CANDIDATES_OF_A_DATE, {"date": index.date.isoformat()})
    elif needs.index is not None:
        parameters: dict[str, Parameter] = {"need": needs.index.number}
        store.run(_CANDIDATES_OF_EVENTS, parameters)
    if isinstance(index, LastMeasurement):
        store.run("DELETE FROM candidate WHERE sorted > CAST($date AS DATE)", {"date": index.on_or_before.isoformat()})
