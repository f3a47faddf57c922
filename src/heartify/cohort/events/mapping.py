"""The mapping file: how the events of an OMOP or FHIR source become one row for each patient.

It is a steward's text, strictly parsed: unknown fields, wrong types and contradictions are refused by name. It says
what is wanted and never how it is computed, so that no mapping can let a measurement after the outcome into a factor.
docs/reference/mapping.md describes every field; `mapping_checks` compares it with the dictionary.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from heartify.cohort.events.codes import Code, parse_code
from heartify.errors import InputError

MAPPING_FORMAT: Literal["heartify.mapping/1"] = "heartify.mapping/1"
MAX_MAPPING_BYTES = 4 * 1024 * 1024
MAX_DAYS = 40_000
"""Longer than a life: the greatest distance from the index date that a window or a horizon may have."""

Codes = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=2000)]
Days = Annotated[int, msgspec.Meta(ge=-MAX_DAYS, le=MAX_DAYS)]
PositiveDays = Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)]
Age = Annotated[int, msgspec.Meta(ge=0, le=150)]
Pick = Literal["last", "first", "mean", "median", "minimum", "maximum"]
Faulty = Literal["count", "refuse"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the mapping file: what it doesn't know is refused."""


class SourceRule(_Part, frozen=True, kw_only=True):
    """What the source is. `observed_until`: the day up to which the data are complete, in place of the last contact."""

    kind: Literal["omop", "fhir"]
    schema: str | None = None
    observed_until: dt.date | None = None


class _Index(_Part, tag_field="rule", frozen=True, kw_only=True):
    """The rule of the index date, with what a patient must be on that day."""

    minimum_history_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_DAYS)] = 0
    minimum_age: Age | None = None
    maximum_age: Age | None = None


class ObservationStart(_Index, tag="observation_start", frozen=True, kw_only=True):
    """The day on which the first observation period has lasted `minimum_history_days`."""


class FirstMeasurement(_Index, tag="first_measurement", frozen=True, kw_only=True):
    """The first measurement of these codes at which the patient is eligible."""

    codes: Codes


class LastMeasurement(_Index, tag="last_measurement", frozen=True, kw_only=True):
    """The last such measurement at or before a fixed day; without that day it would depend on what came after."""

    codes: Codes
    on_or_before: dt.date


class FirstCondition(_Index, tag="first_condition", frozen=True, kw_only=True):
    """The first condition of these codes ever; a patient who isn't eligible on that day has no index date."""

    codes: Codes


class FirstVisit(_Index, tag="first_visit", frozen=True, kw_only=True):
    """The first visit at which the patient is eligible, such as the first at or after `minimum_age`."""


class FixedDate(_Index, tag="fixed_date", frozen=True, kw_only=True):
    """One day for all patients who are under observation on it."""

    date: dt.date


IndexRule = ObservationStart | FirstMeasurement | LastMeasurement | FirstCondition | FirstVisit | FixedDate


class _Column(_Part, tag_field="kind", frozen=True, kw_only=True):
    """One column of the dictionary, and what it is made of."""

    name: str


class AgeColumn(_Column, tag="age_at_index", frozen=True, kw_only=True):
    """The age on the index date: completed years in a column of whole numbers."""


class SexColumn(_Column, tag="sex", frozen=True, kw_only=True):
    """The recorded sex: which level code, or true and false, stands for which; `other` is missing unless given."""

    male: str
    female: str
    other: str | None = None


class MeasurementColumn(_Column, tag="measurement", frozen=True, kw_only=True):
    """A measured number inside a window of days around the index date."""

    codes: Codes
    window_days: tuple[Days, Days]
    pick: Pick
    assume_unit: str | None = None
    without_unit: Faulty = "count"
    other_units: Faulty = "count"
    comparators: Literal["count", "refuse", "use_limit"] = "count"
    after_index: bool = False


class Answer(_Part, frozen=True, kw_only=True):
    """The codes of the answers that mean one level."""

    level: str
    codes: Codes


class CodedColumn(_Column, tag="coded", frozen=True, kw_only=True):
    """A coded answer, such as a smoking status, inside a window."""

    codes: Codes
    window_days: tuple[Days, Days]
    answers: Annotated[tuple[Answer, ...], msgspec.Meta(min_length=1, max_length=1024)]
    pick: Literal["last", "first"] = "last"
    after_index: bool = False


class ConditionColumn(_Column, tag="condition", frozen=True, kw_only=True):
    """Whether a condition of these codes stands in the record: ever up to the index date, or inside a window."""

    codes: Codes
    window_days: tuple[Days, Days] | None = None
    after_index: bool = False


class OutcomeColumn(_Column, tag="outcome", frozen=True, kw_only=True):
    """Whether a condition of these codes, or death, came within the horizon after the index date.

    `incomplete_follow_up`: what a patient without the outcome who was watched for less than the horizon gets. None:
    "keep" (false) when a time column belongs to the outcome, "missing" otherwise.
    """

    horizon_days: PositiveDays
    codes: tuple[str, ...] = ()
    death: bool = False
    incomplete_follow_up: Literal["keep", "missing", "exclude"] | None = None


class TimeColumn(_Column, tag="time", frozen=True, kw_only=True):
    """The days from the index date to an outcome, or to the end of watching for it."""

    outcome: str


class DateColumn(_Column, tag="date", frozen=True, kw_only=True):
    """The index date itself. Rarely wanted: a date identifies, and the lint will say so."""


class IdColumn(_Column, tag="id", frozen=True, kw_only=True):
    """The patient's key in the source; it is checked and never published."""


ColumnRule = (
    AgeColumn
    | SexColumn
    | MeasurementColumn
    | CodedColumn
    | ConditionColumn
    | OutcomeColumn
    | TimeColumn
    | DateColumn
    | IdColumn
)


class Mapping(_Part, frozen=True, kw_only=True):
    """A mapping file. Raises InputError when a code in it is malformed."""

    source: SourceRule
    index: IndexRule
    columns: Annotated[tuple[ColumnRule, ...], msgspec.Meta(min_length=1, max_length=4096)]
    format: Literal["heartify.mapping/1"] = MAPPING_FORMAT

    def __post_init__(self) -> None:
        index_codes(self.index)
        for column in self.columns:
            column_codes(column)
            if isinstance(column, CodedColumn):
                for answer in column.answers:
                    parse_codes(answer.codes, where=f"mapping column '{column.name}', level '{answer.level}'")

    @property
    def outcomes(self) -> tuple[OutcomeColumn, ...]:
        """The outcomes, in the order of the file: factors must precede every one of them."""
        return tuple(column for column in self.columns if isinstance(column, OutcomeColumn))

    def has_time_for(self, outcome: OutcomeColumn) -> bool:
        """Tell whether a time column belongs to the outcome."""
        return any(isinstance(column, TimeColumn) and column.outcome == outcome.name for column in self.columns)


def parse_codes(texts: tuple[str, ...], *, where: str) -> tuple[Code, ...]:
    """Parse codes, each once, in a fixed order.

    Raises InputError.
    """
    return tuple(sorted({parse_code(text, where=where) for text in texts}))


def index_codes(index: IndexRule) -> tuple[Code, ...]:
    """Return the codes of the index rule; none when it has none.

    Raises InputError.
    """
    if isinstance(index, FirstMeasurement | LastMeasurement | FirstCondition):
        return parse_codes(index.codes, where="mapping, [index]")
    return ()


def column_codes(column: ColumnRule) -> tuple[Code, ...]:
    """Return the codes of a column; none when it has none.

    Raises InputError.
    """
    if isinstance(column, MeasurementColumn | CodedColumn | ConditionColumn | OutcomeColumn):
        return parse_codes(column.codes, where=f"mapping column '{column.name[:64]}'")
    return ()


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises InputError when it cannot be read or is wrong, naming the file and the column.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the mapping file: {exc.strerror}") from exc
    if len(data) > MAX_MAPPING_BYTES:
        raise InputError(f"{path.name}: larger than {MAX_MAPPING_BYTES} bytes", hint="this is no mapping file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path.name}: not UTF-8", hint="save the file as UTF-8") from exc
    return parse_mapping(text, file=path.name)


def parse_mapping(text: str, *, file: str) -> Mapping:
    """Parse the text of a mapping file; `file` is its name for messages.

    Raises InputError that says where and what is wrong.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise InputError(f"{file}: not TOML: {str(exc)[:200]}", hint="text values need quotes; see toml.io") from exc
    document.setdefault("format", MAPPING_FORMAT)
    try:
        return msgspec.convert(document, Mapping, strict=True)
    except msgspec.ValidationError as exc:
        message = _with_column(str(exc), document.get("columns"))
        raise InputError(f"{file}: {message}", hint="see the mapping reference") from exc
    except InputError as exc:
        raise InputError(f"{file}: {exc.message}", hint=exc.hint) from exc


def _with_column(message: str, columns: object) -> str:
    """Replace an index such as `$.columns[3]` by the column's name, which is what a steward can search for."""
    if not isinstance(columns, list):
        return message
    for number, column in enumerate(columns):
        name = column.get("name") if isinstance(column, dict) else None
        if isinstance(name, str):
            message = message.replace(f"$.columns[{number}]", f"column '{name[:64]}'")
    return message
