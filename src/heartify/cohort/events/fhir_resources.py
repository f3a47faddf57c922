"""The parts of FHIR R4 resources that a cohort is made of, decoded strictly from one line of NDJSON.

Everything else in a resource (names, addresses, narrative) is skipped by the decoder and never held. A line isn't
trusted: its length and nesting are bounded before it is parsed, and a message names the place and never what stands
there.

Source: FHIR R4 Patient, Observation, Condition, Encounter; Bulk Data Access 2.0 (NDJSON).
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from heartify.errors import InputError
from heartify.protocol.nesting import MAX_NESTING, check_nesting

MAX_LINE_BYTES = 4 * 1024 * 1024
UCUM_SYSTEM = "http://unitsofmeasure.org"

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_REFERENCE = re.compile(
    r"(?:(?:https?://[^\s?#]{1,256}/)?Patient/|urn:uuid:)([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?",
    re.ASCII,
)


class _Element(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A part of a resource; fields that aren't named are skipped."""


class Coding(_Element, frozen=True, kw_only=True):
    """A code in a system."""

    system: str | None = None
    code: str | None = None


class CodeableConcept(_Element, frozen=True, kw_only=True):
    """A concept by one or more codes."""

    coding: tuple[Coding, ...] = ()


class Quantity(_Element, frozen=True, kw_only=True):
    """A measured amount; `code` is the unit when `system` is UCUM, `unit` is how people write it."""

    value: float | None = None
    comparator: str | None = None
    system: str | None = None
    code: str | None = None
    unit: str | None = None


class Period(_Element, frozen=True, kw_only=True):
    """From when to when."""

    start: str | None = None
    end: str | None = None


class Reference(_Element, frozen=True, kw_only=True):
    """Which other resource."""

    reference: str | None = None


class Component(_Element, frozen=True, kw_only=True):
    """One of several results of an observation, such as the systolic pressure in a panel."""

    code: CodeableConcept = CodeableConcept()
    value_quantity: Quantity | None = None
    value_integer: int | None = None
    value_codeable_concept: CodeableConcept | None = None


class Patient(_Element, frozen=True, kw_only=True):
    """A patient, without what names him or her."""

    resource_type: str
    id: str
    gender: str | None = None
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None


class Observation(Component, frozen=True, kw_only=True):
    """An observation: a measurement, a panel of them, or a coded answer."""

    resource_type: str
    id: str
    status: str | None = None
    subject: Reference = Reference()
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None
    issued: str | None = None
    component: tuple[Component, ...] = ()


class Condition(_Element, frozen=True, kw_only=True):
    """A diagnosis or problem."""

    resource_type: str
    id: str
    code: CodeableConcept = CodeableConcept()
    subject: Reference = Reference()
    verification_status: CodeableConcept = CodeableConcept()
    onset_date_time: str | None = None
    onset_period: Period | None = None
    recorded_date: str | None = None


class Encounter(_Element, frozen=True, kw_only=True):
    """A visit."""

    resource_type: str
    id: str
    status: str | None = None
    subject: Reference = Reference()
    period: Period = Period()


Resource = Patient | Observation | Condition | Encounter
RESOURCES: dict[str, type[Resource]] = {
    "Patient": Patient,
    "Observation": Observation,
    "Condition": Condition,
    "Encounter": Encounter,
}

_Any = TypeVar("_Any", bound=Resource)


def build_decoder(resource: type[_Any]) -> msgspec.json.Decoder[_Any]:
    """Return a decoder of one type of resource."""
    return msgspec.json.Decoder(resource, strict=True)


def parse_resource(line: bytes, decoder: msgspec.json.Decoder[_Any], *, where: str) -> _Any:
    """Parse one line; `where` (file and line) begins the message.

    Raises InputError that never quotes the line.
    """
    try:
        if line.count(b"{") + line.count(b"[") > MAX_NESTING:
            check_nesting(line, where)
        resource = decoder.decode(line)
    except msgspec.ValidationError as exc:
        # Structs without enumerations: the message names types and field names of ours, no value. Not chained.
        raise InputError(f"{where}: {exc}", hint="expected FHIR R4, one resource on each line") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(
            f"{where}: not JSON in UTF-8", hint="expected NDJSON: one whole resource on each line"
        ) from None
    expected = type(resource).__name__
    if resource.resource_type != expected:
        raise InputError(f"{where}: expected a {expected}", hint="a bulk export has one file for each resource type")
    if not _ID.fullmatch(resource.id):
        raise InputError(f"{where}: its id is not a FHIR id", hint="1 to 64 letters, digits, - and .")
    return resource


def patient_of(reference: Reference) -> str | None:
    """Return the patient id of "Patient/x", "https://.../Patient/x" or "urn:uuid:x"; None for anything else."""
    found = _REFERENCE.fullmatch(reference.reference or "")
    return found[1] if found else None
