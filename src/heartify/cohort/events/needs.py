"""What of a source the mapping needs: sets of codes, each with a number that its events are stored under.

A source has thousands of codes and a mapping wants a few, so what nobody needs is left out while reading. Two columns
that want the same codes share a need; answers belong to one column, because their levels do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from heartify.cohort.events.codes import Code
from heartify.cohort.events.mapping import (
    CodedColumn,
    ColumnRule,
    ConditionColumn,
    FirstCondition,
    FirstVisit,
    Mapping,
    MeasurementColumn,
    OutcomeColumn,
    column_codes,
    index_codes,
    parse_codes,
)
from heartify.cohort.events.mapping_checks import level_value
from heartify.protocol.dictionary import DataDictionary

Domain = Literal["measurement", "answer", "condition", "visit"]


@dataclass(frozen=True, slots=True)
class Need:
    """A set of codes of one domain. `answers`: which answer has which number, for a column of answers."""

    number: int
    domain: Domain
    codes: tuple[Code, ...]
    answers: tuple[tuple[Code, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """All needs of a mapping. `index`: that of the index rule, None when it needs no events."""

    all: tuple[Need, ...]
    index: Need | None
    by_column: dict[str, Need]

    def of(self, *domains: Domain) -> tuple[Need, ...]:
        """Return the needs of these domains."""
        return tuple(need for need in self.all if need.domain in domains)


def find_needs(mapping: Mapping, dictionary: DataDictionary) -> Needs:
    """Return what a checked mapping needs; codes of vocabularies that the source's kind can't hold are left out."""
    found: list[Need] = []

    def add(domain: Domain, codes: tuple[Code, ...], answers: tuple[tuple[Code, float], ...] = ()) -> Need:
        codes = tuple(code for code in codes if code.is_of(mapping.source.kind))
        for need in found:
            if (need.domain, need.codes, need.answers) == (domain, codes, answers):
                return need
        found.append(Need(len(found), domain, codes, answers))
        return found[-1]

    by_column = {}
    for rule in mapping.columns:
        domain = _domain_of(rule)
        if domain is not None:
            by_column[rule.name] = add(domain, column_codes(rule), _answers(rule, mapping, dictionary))
    index = None
    if isinstance(mapping.index, FirstVisit):
        index = add("visit", ())
    elif index_codes(mapping.index):
        is_condition = isinstance(mapping.index, FirstCondition)
        index = add("condition" if is_condition else "measurement", index_codes(mapping.index))
    return Needs(tuple(found), index, by_column)


def _domain_of(rule: ColumnRule) -> Domain | None:
    if isinstance(rule, MeasurementColumn):
        return "measurement"
    if isinstance(rule, CodedColumn):
        return "answer"
    if isinstance(rule, ConditionColumn) or (isinstance(rule, OutcomeColumn) and rule.codes):
        return "condition"
    return None


def _answers(rule: ColumnRule, mapping: Mapping, dictionary: DataDictionary) -> tuple[tuple[Code, float], ...]:
    if not isinstance(rule, CodedColumn):
        return ()
    column = dictionary.column(rule.name)
    found = []
    for answer in rule.answers:
        value = level_value(answer.level, column)
        codes = parse_codes(answer.codes, where=f"mapping column '{rule.name}'")
        found += [(code, value) for code in codes if value is not None and code.is_of(mapping.source.kind)]
    return tuple(found)
