"""Outcomes: their first event, whether it came within the horizon, and for how long a patient was watched.

The first event of each outcome, ever, is found before any index date, and its earliest possible day becomes the limit
that no factor passes (`factors`). Follow-up ends (observation, death, horizon) make outcome and time, nothing else.

Tables made: outcome (first event of each outcome), limits (cohort with the first day of any), value rows.
"""

from __future__ import annotations

from heartify.cohort.events.event_store import EventStore, Parameter
from heartify.cohort.events.mapping import Mapping, OutcomeColumn
from heartify.cohort.events.needs import Needs

_FIRST_EVENT = """
INSERT INTO outcome
SELECT patient, $number, arg_min_null(day, (earliest, latest)), min(earliest), arg_min_null(latest, (earliest, latest))
FROM (
    SELECT patient, day, earliest, latest FROM happening WHERE need = $need
    UNION ALL
    SELECT patient, exact_day, earliest, latest FROM dead WHERE $death AND earliest IS NOT NULL
) GROUP BY patient
"""
_LIMITS = """
CREATE TABLE limits AS
SELECT cohort.*, first_outcome.earliest AS outcome_earliest
FROM cohort
LEFT JOIN (SELECT patient, min(earliest) AS earliest FROM outcome GROUP BY patient) first_outcome USING (patient)
"""
_FOLLOWED = """
CREATE TABLE followed_{number} AS
WITH watched AS (
    SELECT c.patient, c.day AS start, c.day + $horizon AS horizon, c.last, dead.day AS death_day,
           o.day, o.earliest, o.latest
    FROM cohort c LEFT JOIN dead USING (patient)
    LEFT JOIN (SELECT * FROM outcome WHERE number = $number) o USING (patient)
), judged AS (
    SELECT *,
           CASE WHEN earliest IS NULL THEN 'no'
                WHEN coalesce(day, latest) <= least(horizon, last) THEN 'yes'
                WHEN coalesce(day, earliest) > least(horizon, last) THEN 'no'
                ELSE 'unknown' END AS happened,
           last >= horizon OR coalesce(death_day <= least(horizon, last), false) AS is_complete,
           least(horizon, last, coalesce(death_day, last)) AS stop
    FROM watched
)
SELECT patient, happened, is_complete,
       coalesce(day > last AND day <= horizon, false) AS is_late,
       CASE happened WHEN 'yes' THEN 1.0 WHEN 'no' THEN CASE WHEN is_complete OR $keep THEN 0.0 END END AS value,
       CASE happened WHEN 'yes' THEN day - start WHEN 'no' THEN greatest(stop - start, 0) END AS days
FROM judged
"""


def find_outcomes(store: EventStore, mapping: Mapping, needs: Needs) -> None:
    """Find each patient's first event of every outcome."""
    store.run("CREATE TABLE outcome (patient INTEGER, number INTEGER, day DATE, earliest DATE, latest DATE)")
    for number, outcome in enumerate(mapping.outcomes):
        need = needs.by_column.get(outcome.name)
        parameters: dict[str, Parameter] = {
            "number": number,
            "need": -1 if need is None else need.number,
            "death": outcome.death,
        }
        store.run(_FIRST_EVENT, parameters)


def follow_up(store: EventStore, mapping: Mapping) -> int:
    """Judge every outcome of the cohort, leave out whom the mapping excludes, and return how many those are.

    Afterwards the table `limits` holds the cohort, with the day that no factor may reach.
    """
    excluding = []
    for number, outcome in enumerate(mapping.outcomes):
        rule = incomplete_rule(mapping, outcome)
        parameters: dict[str, Parameter] = {
            "horizon": outcome.horizon_days,
            "number": number,
            "keep": rule == "keep",
        }
        store.run(_FOLLOWED.format(number=number), parameters)
        if rule == "exclude":
            excluding.append(number)
    before = store.count("SELECT count(*) FROM cohort")
    for number in excluding:
        store.run(
            f"DELETE FROM cohort WHERE patient IN "  # noqa: S608 - a number of ours
            f"(SELECT patient FROM followed_{number} WHERE happened = 'no' AND NOT is_complete)"
        )
    store.run(_LIMITS)
    return before - store.count("SELECT count(*) FROM cohort")


def incomplete_rule(mapping: Mapping, outcome: OutcomeColumn) -> str:
    """Return what a patient without the outcome gets who was watched for less than the horizon."""
    if outcome.incomplete_follow_up is not None:
        return outcome.incomplete_follow_up
    return "keep" if mapping.has_time_for(outcome) else "missing"
