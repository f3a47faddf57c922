"""What a steward says about a dataset: the public dictionary, and what is for the hospital's own tools only.

Only `StewardDictionary.dictionary` is published as it is. Where a column comes from and which unit it has there stay
with the hospital; catalogue details go into the catalogue record. Everything is checked when it is built; nothing here
may hold a patient's value.

Sources for the catalogue's fields: DCAT-AP 3.0, HealthDCAT-AP Release 8; ISO 3166-1 alpha-2; BCP 47.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from heartify.errors import DocumentError
from heartify.protocol.dictionary import MAX_TEXT, Column, DataDictionary, check_ucum

MAX_LIST = 100

_URL = re.compile(r"https?://[^\s/?#@\"<>\\^`{|}]+(?:[/?#][^\s\"<>\\^`{|}]*)?")
_EMAIL = re.compile(r"[^@\s<>\"]+@[^@\s<>\"]+\.[A-Za-z]{2,}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
LongText = Annotated[str, msgspec.Meta(max_length=10 * MAX_TEXT)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_LIST)]


class ColumnSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a column's values come from: the column's name in the source, and their unit there (None: the same).

    Values are converted from `unit` into the column's unit; limits and decimals apply after that.
    """

    name: Text
    unit: str | None = None


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A publisher, contact point or health data access body."""

    name: Text
    url: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        _check_url(self.url, "url")
        if self.email is not None and not (len(self.email) <= MAX_TEXT and _EMAIL.fullmatch(self.email)):
            raise DocumentError(
                "catalogue: an email address is not usable", hint='write it plainly, e.g. "data@clinic.example"'
            )


class CatalogueDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the catalogue record says beside the dictionary; everything may be left out, nothing is invented.

    Raises DocumentError naming the field.
    """

    identifier: Text | None = None
    publisher: Organisation | None = None
    contact: Organisation | None = None
    hdab: Organisation | None = None
    keywords: Texts = ()
    themes: Texts = ()
    health_themes: Texts = ()
    health_categories: Texts = ()
    purpose: LongText = ""
    provenance: LongText = ""
    population_coverage: LongText = ""
    legal_basis: Texts = ()
    spatial: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_LIST)] = ()
    languages: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_LIST)] = ()
    temporal_start: dt.date | None = None
    temporal_end: dt.date | None = None
    licence: str | None = None
    conditions: str | None = None
    documentation: str | None = None

    def __post_init__(self) -> None:
        _check_url(self.licence, "licence")
        _check_url(self.conditions, "conditions")
        _check_url(self.documentation, "documentation")
        _check_codes(self.spatial, _COUNTRY, "spatial", 'two capital letters of ISO 3166-1, e.g. "DE"')
        _check_codes(self.languages, _LANGUAGE, "languages", 'language tags of BCP 47, e.g. "de"')
        if self.temporal_start and self.temporal_end and self.temporal_start > self.temporal_end:
            raise DocumentError("catalogue: temporal_start is after temporal_end", hint="exchange them")


@dataclass(frozen=True, slots=True)
class StewardDictionary:
    """A dictionary with the steward's own parts. Raises DocumentError when they contradict each other."""

    dictionary: DataDictionary
    sources: Mapping[str, ColumnSource] = field(default_factory=dict)
    catalogue: CatalogueDetails = field(default_factory=CatalogueDetails)

    def __post_init__(self) -> None:
        columns = {column.name: column for column in self.dictionary.columns}
        for name, source in self.sources.items():
            if name not in columns:
                raise DocumentError("a source belongs to no column of the dictionary", hint="name it as the column")
            _check_source(columns[name], source)
        taken: dict[str, str] = {}
        for column in self.dictionary.columns:
            name = self.source_of(column).name
            if name in taken:
                raise DocumentError(
                    f"dictionary columns '{taken[name]}' and '{column.name}' come from the same column of the source",
                    hint="each column of the source feeds one column",
                )
            taken[name] = column.name

    def source_of(self, column: Column) -> ColumnSource:
        """Return where a column's values come from: its own name and unit unless declared otherwise."""
        return self.sources.get(column.name) or ColumnSource(name=column.name)


def _check_source(column: Column, source: ColumnSource) -> None:
    if source.unit is None:
        return
    if column.datatype not in {"number", "integer"}:
        raise DocumentError(
            f"dictionary column '{column.name}': a {column.datatype} has no unit", hint="leave it out of its source"
        )
    check_ucum(source.unit, where=f"source of dictionary column '{column.name}'")


def _check_url(url: str | None, name: str) -> None:
    if url is not None and not (len(url) <= MAX_TEXT and _URL.fullmatch(url)):
        raise DocumentError(f"catalogue: {name} is not a web address", hint="begin it with https://, without user name")


def _check_codes(codes: tuple[str, ...], form: re.Pattern[str], name: str, expected: str) -> None:
    if any(not form.fullmatch(code) for code in codes):
        raise DocumentError(f"catalogue: {name} has a code of another form", hint=f"write {expected}")
