"""Compare a mapping file with the dictionary that its rows must follow, before anything of the source is read.

Every column of the dictionary has exactly one rule, and a rule makes only what the column declares. What could leak is
refused here as well: a window beyond the index date that nobody declared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from heartify.cohort.events.codes import Code
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
    column_codes,
    index_codes,
    parse_codes,
)
from heartify.cohort.units.conversion import find_conversion
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

FACTOR_ROLES = ("factor", "filter")
_BOOLEANS = ("true", "false")


def check_mapping(mapping: Mapping, dictionary: DataDictionary) -> None:
    """Check that a mapping makes every column of the dictionary, and each as declared.

    Raises InputError naming the column.
    """
    _check_index(mapping)
    _check_names(mapping, dictionary)
    for rule in mapping.columns:
        column = dictionary.column(rule.name)
        _check_codes(mapping, column_codes(rule), where=f"mapping column '{rule.name}'")
        _CHECKS[type(rule)](rule, column, mapping)


def level_value(level: str, column: Column) -> float | None:
    """Return the number by which a level, or true and false, is held during the derivation; None: no such level."""
    levels = ("false", "true") if column.datatype == "boolean" else column.level_codes
    return float(levels.index(level)) if level in levels else None


def conversion_loinc(rule: MeasurementColumn, column: Column) -> str | None:
    """Return the LOINC code that says which analyte a column is, for units that need it."""
    codes = [code.code for code in column_codes(rule) if code.vocabulary == "LOINC"]
    return column.loinc or (codes[0] if codes else None)


def _check_index(mapping: Mapping) -> None:
    index = mapping.index
    _check_codes(mapping, index_codes(index), where="mapping, [index]")
    if index.minimum_age is not None and index.maximum_age is not None and index.minimum_age > index.maximum_age:
        raise InputError("mapping, [index]: minimum_age is above maximum_age", hint="exchange them")
    if mapping.source.schema is not None and mapping.source.kind != "omop":
        raise InputError("mapping, [source]: only an OMOP database has a schema", hint="remove it")
    if mapping.source.observed_until is not None and mapping.source.kind == "omop":
        raise InputError(
            "mapping, [source]: observed_until in an OMOP source",
            hint="remove it: its table observation_period says until when each patient is observed",
        )


def _check_names(mapping: Mapping, dictionary: DataDictionary) -> None:
    names = [rule.name for rule in mapping.columns]
    for name in names:
        dictionary.column(name)
        if names.count(name) > 1:
            raise InputError(f"mapping column '{name}' stands twice", hint="one rule for each column")
    missing = [column.name for column in dictionary.columns if column.name not in names]
    if missing:
        raise InputError(
            f"the mapping makes no column '{missing[0]}', which the dictionary declares",
            hint="add a [[columns]] table to the mapping, or remove the column from the dictionary",
        )


def _check_codes(mapping: Mapping, codes: tuple[Code, ...], *, where: str) -> None:
    kind = mapping.source.kind
    if codes and not any(code.is_of(kind) for code in codes):
        hint = "FHIR knows no OMOP concept ids: give LOINC, SNOMED or ICD codes, or https://system|code"
        hint = hint if kind == "fhir" else "OMOP knows no addresses of code systems: give VOCABULARY:code or OMOP:id"
        raise InputError(f"{where}: none of its codes can stand in a source of kind {kind}", hint=hint)


def _refuse(rule: ColumnRule, what: str, hint: str) -> NoReturn:
    raise InputError(f"mapping column '{rule.name}': {what}", hint=hint)


def _check_column(rule: ColumnRule, column: Column, datatypes: tuple[str, ...], roles: tuple[str, ...]) -> None:
    if column.datatype not in datatypes:
        _refuse(
            rule, f"the dictionary declares {column.datatype}, expected {' or '.join(datatypes)}", "correct one of them"
        )
    if column.role not in roles:
        _refuse(rule, f"the dictionary gives it role {column.role}, expected {' or '.join(roles)}", "correct the role")


def _check_window(rule: ColumnRule, window: tuple[int, int], *, after_index: bool) -> None:
    if window[0] > window[1]:
        _refuse(rule, f"window_days begins with {window[0]} and ends with {window[1]}", "the earlier day stands first")
    if window[1] > 0 and not after_index:
        _refuse(
            rule,
            "its window ends after the index date",
            "end it with 0, or write after_index = true when that is meant; the outcome is a limit in any case",
        )
    if window[1] <= 0 and after_index:
        _refuse(rule, "after_index is declared, but its window ends at the index date", "remove after_index")


def _check_age(rule: AgeColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    _check_column(rule, column, ("integer", "number"), FACTOR_ROLES)
    if column.unit != "a":
        _refuse(rule, f"the dictionary declares the unit {column.unit}, expected a", "an age is in years")


def _check_sex(rule: SexColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    _check_column(rule, column, ("category", "boolean"), FACTOR_ROLES)
    named = [level for level in (rule.male, rule.female, rule.other) if level is not None]
    _check_levels(rule, column, named)
    if len(set(named)) != len(named):
        _refuse(rule, "two sexes have one level", "give each its own; leave other out and it is missing")


def _check_levels(rule: ColumnRule, column: Column, levels: list[str]) -> None:
    for level in levels:
        if level_value(level, column) is None:
            known = _BOOLEANS if column.datatype == "boolean" else column.level_codes
            _refuse(rule, f"the dictionary has no level '{level[:64]}'", f"it has {', '.join(known[:12])}")


def _check_measurement(rule: MeasurementColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    _check_column(rule, column, ("number", "integer"), FACTOR_ROLES)
    _check_window(rule, rule.window_days, after_index=rule.after_index)
    if rule.assume_unit is not None:
        find_conversion(rule.assume_unit, column.unit, loinc=conversion_loinc(rule, column))


def _check_coded(rule: CodedColumn, column: Column, mapping: Mapping) -> None:
    _check_column(rule, column, ("category", "boolean"), FACTOR_ROLES)
    _check_window(rule, rule.window_days, after_index=rule.after_index)
    _check_levels(rule, column, [answer.level for answer in rule.answers])
    seen: set[Code] = set()
    for answer in rule.answers:
        where = f"mapping column '{rule.name}', level '{answer.level}'"
        codes = set(parse_codes(answer.codes, where=where))
        _check_codes(mapping, tuple(codes), where=where)
        if any(code.is_prefix for code in codes):
            _refuse(rule, "a prefix among the codes of answers", "list answers one by one")
        if codes & seen:
            _refuse(rule, f"level '{answer.level}' has an answer that another level has too", "each answer once")
        seen |= codes


def _check_condition(rule: ConditionColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    _check_column(rule, column, ("boolean",), FACTOR_ROLES)
    if rule.window_days is not None:
        _check_window(rule, rule.window_days, after_index=rule.after_index)
    elif rule.after_index:
        _refuse(rule, "after_index is declared without a window", "give window_days, or remove after_index")


def _check_outcome(rule: OutcomeColumn, column: Column, mapping: Mapping) -> None:
    _check_column(rule, column, ("boolean",), ("outcome",))
    if not rule.codes and not rule.death:
        _refuse(rule, "neither codes nor death", "say what the outcome is: codes = [...], or death = true")
    if rule.incomplete_follow_up == "missing" and mapping.has_time_for(rule):
        _refuse(
            rule,
            "incomplete_follow_up is missing, but a time column belongs to it",
            "remove it: with a time, a patient who was watched for less is censored, not missing",
        )


def _check_time(rule: TimeColumn, column: Column, mapping: Mapping) -> None:
    _check_column(rule, column, ("number", "integer"), ("time",))
    if rule.outcome not in {outcome.name for outcome in mapping.outcomes}:
        _refuse(rule, f"there is no outcome '{rule.outcome[:64]}'", "name a column of kind outcome")
    find_conversion("d", column.unit)


def _check_date(rule: DateColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    _check_column(rule, column, ("date",), ("factor", "filter", "time"))


def _check_id(rule: IdColumn, column: Column, mapping: Mapping) -> None:
    del mapping
    if column.role != "id":
        _refuse(rule, f"the dictionary gives it role {column.role}, expected id", "a patient's key is never published")


_CHECKS: dict[type[ColumnRule], Callable[..., None]] = {
    AgeColumn: _check_age,
    SexColumn: _check_sex,
    MeasurementColumn: _check_measurement,
    CodedColumn: _check_coded,
    ConditionColumn: _check_condition,
    OutcomeColumn: _check_outcome,
    TimeColumn: _check_time,
    DateColumn: _check_date,
    IdColumn: _check_id,
}
