"""The data dictionary: what every column of a dataset means, in which unit, and which values it may hold.

It is public (labs plan with it) and it is measured into each dataset version by its digest, so the steward's statement
about units and levels cannot change afterwards. It trusts nothing: every field is checked when the document is built.
It must never hold a patient's value, only what the steward declares. No I/O here; `heartify.cohort.dictionary_toml`
reads the form that a steward writes.

Sources: column record of CSVW extended by a UCUM unit; UCUM 2.1 section 2.1 (case sensitive syntax); LOINC users' guide
(check digit).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NoReturn

import msgspec

from heartify.errors import DocumentError, InputError
from heartify.protocol.canonical import digest_of, parse_canonical

DICTIONARY_FORMAT: Literal["heartify.dictionary/2"] = "heartify.dictionary/2"
MAX_COLUMNS = 4096
MAX_LEVELS = 1024
MAX_TEXT = 1000
MAX_DECIMALS = 9

Datatype = Literal["number", "integer", "boolean", "category", "date"]
Role = Literal["factor", "outcome", "time", "id", "filter"]
Precision = Literal["double", "single"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_LOINC = re.compile(r"[1-9][0-9]{0,6}-[0-9]")
_SNOMED = re.compile(r"[1-9][0-9]{5,17}")
_WHOLE_WITH_ZERO_FRACTION = re.compile(r"([+-]?[0-9]+)\.0+")

# UCUM terms without parentheses: atoms with prefixes, [bracketed] atoms, powers of ten, exponents, {annotations}.
_UCUM_ATOM = r"(?:10[*^](?:[+-]?[0-9]+)?|[0-9]+|(?:[A-Za-z%'\"_]|\[[^\[\]{}\s]+\])+(?:[+-]?[0-9]+)?)"
_UCUM_COMPONENT = rf"(?:{_UCUM_ATOM}(?:\{{[^{{}}\s]*\}})?|\{{[^{{}}\s]*\}})"
_UCUM = re.compile(rf"/?{_UCUM_COMPONENT}(?:[./]{_UCUM_COMPONENT})*")
# What people write instead of UCUM, and two spellings of the litre that would make equal units look unequal.
_UCUM_SPELLING = {
    "mmhg": "mm[Hg]",
    "bpm": "/min",
    "beats/min": "/min",
    "1/min": "/min",
    "year": "a",
    "years": "a",
    "yr": "a",
    "yrs": "a",
    "y": "a",
    "day": "d",
    "days": "d",
    "month": "mo",
    "months": "mo",
    "kg/m^2": "kg/m2",
    "kg/m²": "kg/m2",
    "kg/m**2": "kg/m2",
    "percent": "%",
    "none": "1",
    "mcg/ml": "ug/mL",
    "µmol/l": "umol/L",
}
_UCUM_LITRE = re.compile(r"(?<![A-Za-z])([munpdf]?)l(?![A-Za-z])")


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One level of a category: the code that stands in the data, and what it means."""

    code: str
    label: str


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One column: name, meaning, type, unit, limits and codes.

    `minimum` and `maximum` are inclusive and in `unit`. `missing_codes` are the texts that mean "not known".
    `decimals` says that no value of a number has more decimal places; with both limits it makes the stored form
    small. `precision` is that of a stored number without `decimals`: nothing is narrowed that isn't declared so.
    Raises DocumentError, naming the column, when the fields contradict each other.
    """

    name: str
    title: str
    datatype: Datatype
    role: Role
    unit: str = "1"
    minimum: float | None = None
    maximum: float | None = None
    missing_codes: tuple[str, ...] = ("",)
    levels: tuple[Level, ...] = ()
    loinc: str | None = None
    snomed: str | None = None
    omop: int | None = None
    filterable: bool = False
    description: str = ""
    decimals: int | None = None
    precision: Precision = "double"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DocumentError(
                "a column name of the dictionary is not usable",
                hint="start with a letter or _, then letters, digits, _ . - ; at most 64 characters",
            )
        if not 0 < len(self.title) <= MAX_TEXT:
            self._refuse("its title is empty or too long", f"give a title of 1 to {MAX_TEXT} characters")
        self._check_unit()
        if len(self.description) > MAX_TEXT:
            self._refuse("its description is too long", f"at most {MAX_TEXT} characters")
        self._check_limits()
        self._check_precision()
        self._check_levels()
        self._check_missing_codes()
        self._check_codes()

    @property
    def level_codes(self) -> tuple[str, ...]:
        """The codes of the levels in the order in which they are stored as 0, 1, 2..."""
        return tuple(level.code for level in self.levels)

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise DocumentError(f"dictionary column '{self.name}': {what}", hint=hint)

    def _check_unit(self) -> None:
        check_ucum(self.unit, where=f"dictionary column '{self.name}'")
        if self.datatype in {"boolean", "category", "date"} and self.unit != "1":
            self._refuse(f"a {self.datatype} has no unit", "leave the unit out")

    def _check_limits(self) -> None:
        limits = [limit for limit in (self.minimum, self.maximum) if limit is not None]
        if limits and self.datatype not in {"number", "integer"}:
            self._refuse(f"a {self.datatype} has no limits", "remove minimum and maximum")
        if any(not math.isfinite(limit) for limit in limits):
            self._refuse("a limit is not a finite number", "leave a limit out when there is none")
        if len(limits) == 2 and limits[0] > limits[1]:
            self._refuse(f"minimum {limits[0]:g} is above maximum {limits[1]:g}", "exchange them")

    def _check_precision(self) -> None:
        if self.datatype != "number" and (self.decimals is not None or self.precision != "double"):
            self._refuse(f"decimals or precision on a column of type {self.datatype}", "only a number has them")
        if self.decimals is not None and not 0 <= self.decimals <= MAX_DECIMALS:
            self._refuse("its decimals are out of range", f"0 to {MAX_DECIMALS} decimal places")
        if self.decimals is not None and self.precision != "double":
            self._refuse("decimals and single precision at once", "decimals alone store exact values in less room")

    def _check_levels(self) -> None:
        if self.datatype != "category":
            if self.levels:
                self._refuse(f"levels on a {self.datatype}", "only a category has levels")
            return
        if not self.levels and self.role != "id":
            self._refuse("a category without levels", 'list them: levels = [{ code = "1", label = "..." }]')
        if len(self.levels) > MAX_LEVELS:
            self._refuse(f"more than {MAX_LEVELS} levels", "this looks like free text or an id: do not publish it")
        if any(not level.code or not level.label or len(level.code + level.label) > MAX_TEXT for level in self.levels):
            self._refuse("a level has an empty or overlong code or label", "give both, short")
        if len({normalise_code(code) for code in self.level_codes}) != len(self.levels):
            self._refuse("two levels have the same code", "each code once; '1' and '1.0' are the same code")

    def _check_missing_codes(self) -> None:
        codes = [normalise_code(code) for code in self.missing_codes]
        if len(set(codes)) != len(codes):
            self._refuse("a missing code is listed twice", "list each once; '9' and '9.0' are the same code")
        if any(len(code) > 64 for code in codes):
            self._refuse("a missing code is longer than 64 characters", "shorten it")
        if set(codes) & {normalise_code(code) for code in self.level_codes}:
            self._refuse("a missing code is also a level", "decide which of the two it is")

    def _check_codes(self) -> None:
        if self.loinc is not None and not _is_loinc(self.loinc):
            self._refuse("its LOINC code is malformed or its check digit is wrong", "look it up, e.g. 8480-6")
        if self.snomed is not None and not _SNOMED.fullmatch(self.snomed):
            self._refuse("its SNOMED CT id is malformed", "6 to 18 digits, the id only")
        if self.omop is not None and not 0 < self.omop < 2**31:
            self._refuse("its OMOP concept id is out of range", "a positive whole number")


class DataDictionary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The dictionary of one dataset. Raises DocumentError when two columns clash or none is publishable."""

    title: str
    columns: tuple[Column, ...]
    description: str = ""
    format: Literal["heartify.dictionary/2"] = DICTIONARY_FORMAT

    def __post_init__(self) -> None:
        if not 0 < len(self.title) <= MAX_TEXT or len(self.description) > 10 * MAX_TEXT:
            raise DocumentError("the dictionary has no title, or title or description is too long", hint="shorten it")
        if not 0 < len(self.columns) <= MAX_COLUMNS:
            raise DocumentError(f"the dictionary must have 1 to {MAX_COLUMNS} columns", hint="add [[columns]] tables")
        seen: set[str] = set()
        for column in self.columns:
            if column.name.lower() in seen:
                raise DocumentError(
                    f"dictionary column '{column.name}' is declared twice",
                    hint="each name once; capital and small letters do not make a difference",
                )
            seen.add(column.name.lower())
        if not self.published_columns:
            raise DocumentError(
                "every column of the dictionary is an id", hint="ids are not published: add data columns"
            )

    @property
    def published_columns(self) -> tuple[Column, ...]:
        """All columns but those of role `id`, which never leave the hospital."""
        return tuple(column for column in self.columns if column.role != "id")

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises InputError when there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(column.name for column in self.columns[:40])
        raise InputError(f"the dictionary has no column '{name}'", hint=f"it has: {known}")

    def digest(self) -> str:
        """Return the SHA-256 of the canonical bytes as 0x and 64 hexadecimal digits."""
        return digest_of(self)


def parse_dictionary(data: bytes) -> DataDictionary:
    """Parse the canonical JSON form (the stored one).

    Raises DocumentError when it is malformed, unknown, contradictory or not canonical.
    """
    return parse_canonical(data, DataDictionary)


def normalise_code(text: str) -> str:
    """Return a code without surrounding blanks and without a zero fraction: ' 4.0 ' and '4' are one code.

    Spreadsheet programs and data frames write whole numbers with a fraction as soon as a column has a gap.
    """
    text = text.strip()
    whole = _WHOLE_WITH_ZERO_FRACTION.fullmatch(text)
    return whole[1] if whole else text


def check_ucum(unit: str, *, where: str) -> None:
    """Check that a unit is plausible UCUM (case sensitive), and not one of the usual misspellings.

    Raises DocumentError that names `where` and, when known, the right spelling.
    """
    meant = _UCUM_SPELLING.get(unit.lower()) or _UCUM_LITRE.sub(r"\1L", unit)
    if meant != unit and _UCUM.fullmatch(meant):
        raise DocumentError(f"{where}: the unit is '{unit[:32]}', expected UCUM", hint=f"write '{meant}'")
    if len(unit) > 32 or not _UCUM.fullmatch(unit):
        raise DocumentError(
            f"{where}: the unit '{unit[:32]}' is not UCUM",
            hint="see ucum.org; '1' is a plain number; examples: mm[Hg], mg/dL, mmol/L, /min, kg/m2, a, %",
        )


def check_compatible(dictionaries: Mapping[str, DataDictionary], columns: Iterable[str]) -> None:
    """Check that each hospital means the same by each of these columns: datatype, unit and meaning of level codes.

    Nothing is ever converted silently. Raises InputError naming the hospitals, the column, and what each declares.
    """
    for name in columns:
        first: tuple[str, Column] | None = None
        for hospital, dictionary in dictionaries.items():
            column = _column_of(hospital, dictionary, name)
            if first is None:
                first = (hospital, column)
            else:
                _check_same_meaning(first, (hospital, column))


def _column_of(hospital: str, dictionary: DataDictionary, name: str) -> Column:
    for column in dictionary.published_columns:
        if column.name == name:
            return column
    raise InputError(
        f"hospital '{hospital}' publishes no column '{name}'",
        hint="leave the factor out of the plan, or leave the hospital out",
    )


def _check_same_meaning(first: tuple[str, Column], other: tuple[str, Column]) -> None:
    (hospital_a, a), (hospital_b, b) = first, other
    for what, value_a, value_b in (("datatype", a.datatype, b.datatype), ("unit", a.unit, b.unit)):
        if value_a != value_b:
            raise InputError(
                f"column '{a.name}': hospital '{hospital_a}' declares {what} {value_a}, "
                f"hospital '{hospital_b}' declares {what} {value_b}",
                hint="values are never converted silently: the hospitals must publish the same, or one is left out",
            )
    labels_a = {normalise_code(level.code): level.label for level in a.levels}
    for level in b.levels:
        label_a = labels_a.get(normalise_code(level.code), level.label)
        if label_a.casefold() != level.label.casefold():
            raise InputError(
                f"column '{a.name}', level '{level.code}': hospital '{hospital_a}' means '{label_a}', "
                f"hospital '{hospital_b}' means '{level.label}'",
                hint="one code must mean the same everywhere: recode one of the hospitals",
            )


def _is_loinc(code: str) -> bool:
    """Tell whether the last digit is the mod-10 check digit of the others (LOINC users' guide, appendix C)."""
    if not _LOINC.fullmatch(code):
        return False
    body, check = code.split("-")
    total = 0
    for position, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return (10 - total % 10) % 10 == int(check)
