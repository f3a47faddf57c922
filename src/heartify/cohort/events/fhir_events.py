"""What one FHIR resource says about one patient: rows for the event store. Pure; no I/O.

Ignored and counted: resources entered in error, cancelled or refuted, those without a usable date, and those that are
not about a patient. A condition counts as known no earlier than it was recorded: one that began before the index date
but was written down after the outcome says nothing that was known at the index date.

Source: FHIR R4 Observation.status, Observation.component (blood pressure panel 85354-9), Condition.verificationStatus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from heartify.cohort.events.codes import Code
from heartify.cohort.events.event_dates import EventDate, middle, parse_fhir_date
from heartify.cohort.events.fhir_resources import (
    UCUM_SYSTEM,
    CodeableConcept,
    Component,
    Condition,
    Encounter,
    Observation,
    Patient,
    Period,
    Quantity,
    Resource,
    patient_of,
)
from heartify.cohort.events.needs import Need, Needs
from heartify.cohort.events.record_digest import record_digest
from heartify.errors import InputError

KINDS = {"Patient": 0, "Observation": 1, "Condition": 2, "Encounter": 3}
IGNORED_STATUS = frozenset({"entered-in-error", "cancelled", "planned"})
IGNORED_VERIFICATION = frozenset({"entered-in-error", "refuted"})
MAX_CODINGS = 64
MAX_COMPONENTS = 1000
MAX_UNIT = 64

Row = tuple[object, ...]


@dataclass(slots=True)
class Rows:
    """Rows for the tables of the event store, in their schemas' order, and what was left out."""

    person: list[Row] = field(default_factory=list)
    death: list[Row] = field(default_factory=list)
    contact: list[Row] = field(default_factory=list)
    event: list[Row] = field(default_factory=list)
    record: list[Row] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class CodeIndex:
    """Finds the needs that a resource's codes meet."""

    def __init__(self, needs: Sequence[Need]) -> None:
        self._exact: dict[tuple[str | None, str], list[Need]] = {}
        self._prefixes: list[tuple[Code, Need]] = []
        for need in needs:
            for code in need.codes:
                if code.is_prefix:
                    self._prefixes.append((code, need))
                else:
                    self._exact.setdefault((code.system, code.code), []).append(need)

    def find(self, concept: CodeableConcept, *, where: str) -> dict[int, Need]:
        """Return the needs that any coding of the concept meets, by number.

        Raises InputError when there are absurdly many codings.
        """
        if len(concept.coding) > MAX_CODINGS:
            raise InputError(f"{where}: more than {MAX_CODINGS} codings", hint="this is no usable resource")
        found: dict[int, Need] = {}
        for coding in concept.coding:
            if coding.code is None:
                continue
            for need in self._exact.get((coding.system, coding.code), ()):
                found[need.number] = need
            for code, need in self._prefixes:
                if coding.system == code.system and coding.code.startswith(code.code):
                    found[need.number] = need
        return found


class FhirEvents:
    """Adds resources to rows."""

    def __init__(self, needs: Needs) -> None:
        self._observations = CodeIndex(needs.of("measurement", "answer"))
        self._conditions = CodeIndex(needs.of("condition"))
        self._visits = needs.of("visit")
        self._answers = {
            need.number: {(code.system, code.code): value for code, value in need.answers} for need in needs.all
        }

    def add(self, resource: Resource, rows: Rows, *, where: str) -> None:
        """Add what a resource says to `rows`; `where` begins messages.

        Raises InputError for a date that isn't one.
        """
        kind = KINDS[type(resource).__name__]
        identity = record_digest(f"{kind}/{resource.id}".encode())
        content = record_digest(msgspec.json.encode(resource))[0]
        rows.record.append((kind, *identity, content))
        if isinstance(resource, Patient):
            _add_patient(resource, rows, where)
            return
        patient = patient_of(resource.subject)
        if patient is None:
            rows.counts["not-about-a-patient"] += 1
        elif isinstance(resource, Observation):
            self._add_observation(resource, patient, (kind, *identity), rows, where)
        elif isinstance(resource, Condition):
            self._add_condition(resource, patient, (kind, *identity), rows, where)
        else:
            self._add_encounter(resource, patient, (kind, *identity), rows, where)

    def _add_observation(self, resource: Observation, patient: str, record: Row, rows: Rows, where: str) -> None:
        if resource.status in IGNORED_STATUS:
            rows.counts["entered-in-error-or-cancelled"] += 1
            return
        date = _observation_date(resource, where)
        if date is None:
            rows.counts["without-a-date"] += 1
            return
        _add_contact(patient, date, rows)
        if len(resource.component) > MAX_COMPONENTS:
            raise InputError(f"{where}: more than {MAX_COMPONENTS} components", hint="this is no usable resource")
        for part, component in enumerate((resource, *resource.component)):
            for need in self._observations.find(component.code, where=where).values():
                value, unit, comparator = self._value(need, component)
                rows.event.append(_event(patient, need, (value, unit, comparator), date, record, part))

    def _value(self, need: Need, component: Component) -> tuple[float | None, str | None, str | None]:
        if need.domain == "answer":
            answers = self._answers[need.number]
            codings = component.value_codeable_concept.coding if component.value_codeable_concept else ()
            values = {answers[key] for coding in codings if (key := (coding.system, coding.code or "")) in answers}
            return (values.pop() if len(values) == 1 else None), None, None
        if component.value_quantity is None:
            return (None if component.value_integer is None else float(component.value_integer)), None, None
        quantity = component.value_quantity
        return quantity.value, _unit(quantity), quantity.comparator

    def _add_condition(self, resource: Condition, patient: str, record: Row, rows: Rows, where: str) -> None:
        if any(coding.code in IGNORED_VERIFICATION for coding in resource.verification_status.coding):
            rows.counts["refuted-or-entered-in-error"] += 1
            return
        recorded = _date(resource.recorded_date, f"{where}, recordedDate")
        onset = resource.onset_date_time or (resource.onset_period.start if resource.onset_period else None)
        date = _date(onset, f"{where}, onset") or recorded
        if date is None:
            rows.counts["without-a-date"] += 1
            return
        _add_contact(patient, recorded or date, rows)
        known = date if recorded is None else date.recorded_at(recorded)
        for need in self._conditions.find(resource.code, where=where).values():
            rows.event.append(_event(patient, need, (None, None, None), known, record, 0))

    def _add_encounter(self, resource: Encounter, patient: str, record: Row, rows: Rows, where: str) -> None:
        if resource.status in IGNORED_STATUS:
            rows.counts["entered-in-error-or-cancelled"] += 1
            return
        start = _date(resource.period.start, f"{where}, period")
        end = _date(resource.period.end, f"{where}, period")
        for date in (start, end):
            if date is not None:
                _add_contact(patient, date, rows)
        if start is None:
            rows.counts["without-a-date"] += 1
            return
        rows.event.extend(_event(patient, need, (None, None, None), start, record, 0) for need in self._visits)


def _add_patient(resource: Patient, rows: Rows, where: str) -> None:
    birth = _date(resource.birth_date, f"{where}, birthDate")
    rows.person.append(
        (resource.id, None if birth is None else middle(birth), birth.first if birth else None, resource.gender)
    )
    death = _date(resource.deceased_date_time, f"{where}, deceasedDateTime")
    if death is not None:
        rows.death.append((resource.id, death.day, death.first, death.last, death.earliest, death.latest, True))
        _add_contact(resource.id, death, rows)
    elif resource.deceased_boolean:
        rows.death.append((resource.id, None, None, None, None, None, False))


def _observation_date(resource: Observation, where: str) -> EventDate | None:
    """Return when an observation was made; a period counts by its end, when its value was known."""
    written = resource.effective_date_time or resource.effective_instant
    if written is not None:
        return _date(written, f"{where}, effective")
    period = resource.effective_period or Period()
    if period.start is not None or period.end is not None:
        start, end = (_date(text, f"{where}, effectivePeriod") for text in (period.start, period.end))
        return end if end is None or start is None else start.until(end)
    return _date(resource.issued, f"{where}, issued")


def _date(text: str | None, where: str) -> EventDate | None:
    if text is None:
        return None
    date = parse_fhir_date(text)
    if date is None:
        raise InputError(f"{where}: not a date of FHIR", hint="YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz")
    return date


def _unit(quantity: Quantity) -> str | None:
    """Return the UCUM code, or what people wrote where there is none: it converts only if it is UCUM all the same."""
    unit = quantity.code if quantity.system in {UCUM_SYSTEM, None} else None
    unit = unit or quantity.unit or quantity.code
    return unit[:MAX_UNIT] if unit else None


def _add_contact(patient: str, date: EventDate, rows: Rows) -> None:
    # Of a doubtful date, the day that makes the time under observation shorter.
    first, last = date.day or date.last, date.day or date.first
    rows.contact.append((patient, min(first, last), max(first, last)) if date.day else (patient, first, None))
    if date.day is None:
        rows.contact.append((patient, None, last))


def _event(patient: str, need: Need, value: Row, date: EventDate, record: Row, part: int) -> Row:
    days = (date.day, date.first, date.last, date.earliest, date.latest, date.moment)
    return (patient, need.number, *value, *days, *record, part)
