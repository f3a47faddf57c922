from __future__ import annotations

from typing import Any

import pytest

from heartify.errors import DocumentError, InputError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.dictionary import (
    Column,
    DataDictionary,
    Level,
    check_compatible,
    check_ucum,
    normalise_code,
    parse_dictionary,
)

LEVELS = (Level(code="0", label="female"), Level(code="1", label="male"))


def column(**changes: Any) -> Column:
    fields: dict[str, Any] = {
        "name": "chol",
        "title": "Cholesterol",
        "datatype": "number",
        "role": "factor",
        "unit": "mg/dL",
    }
    return Column(**(fields | changes))


def category(**changes: Any) -> Column:
    fields: dict[str, Any] = {"name": "sex", "title": "Sex", "datatype": "category", "role": "factor", "levels": LEVELS}
    return Column(**(fields | changes))


def dictionary(*columns: Column) -> DataDictionary:
    return DataDictionary(title="Test", description="", columns=columns or (column(),))


def test_canonical_bytes_parse_back_to_the_same_dictionary_and_digest() -> None:
    original = dictionary(column(minimum=20, maximum=900.5, loinc="2093-3", omop=3027114), category(snomed="263495000"))

    parsed = parse_dictionary(encode_canonical(original))

    assert parsed == original
    assert parsed.digest() == original.digest()
    assert parsed.digest() != dictionary(column(unit="mmol/L")).digest()


def test_a_dictionary_that_is_not_canonical_is_refused() -> None:
    data = encode_canonical(dictionary())

    with pytest.raises(DocumentError, match="canonical"):
        parse_dictionary(data.replace(b"{", b"{ ", 1))


def test_an_unknown_field_is_refused() -> None:
    data = encode_canonical(dictionary())

    with pytest.raises(DocumentError, match="unknown field"):
        parse_dictionary(data[:-1] + b',"zz":1}')


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "two words"}, "not usable"),
        ({"name": "1st"}, "not usable"),
        ({"title": ""}, "'chol'.*title"),
        ({"unit": "mmHg"}, "'chol'.*mmHg"),
        ({"minimum": 9.0, "maximum": 8.0}, "'chol'.*minimum 9 is above maximum 8"),
        ({"minimum": float("nan")}, "'chol'.*finite"),
        ({"maximum": float("inf")}, "'chol'.*finite"),
        ({"levels": LEVELS}, "'chol'.*levels on a number"),
        ({"missing_codes": ("9", "9.0")}, "'chol'.*twice"),
        ({"missing_codes": ("x" * 65,)}, "'chol'.*longer"),
        ({"loinc": "2093-4"}, "'chol'.*LOINC"),
        ({"loinc": "cholesterol"}, "'chol'.*LOINC"),
        ({"snomed": "12"}, "'chol'.*SNOMED"),
        ({"omop": 0}, "'chol'.*OMOP"),
        ({"description": "x" * 1001}, "'chol'.*description"),
        ({"decimals": -1}, "'chol'.*decimals are out of range"),
        ({"decimals": 10}, "'chol'.*decimals are out of range"),
        ({"decimals": 1, "precision": "single"}, "'chol'.*at once"),
        ({"datatype": "integer", "decimals": 0}, "'chol'.*decimals or precision on a column of type integer"),
        ({"datatype": "integer", "precision": "single"}, "'chol'.*decimals or precision on a column of type integer"),
    ],
)
def test_a_contradictory_column_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=said) as caught:
        column(**changes)

    assert caught.value.hint


def test_a_number_may_say_its_decimals_or_that_single_precision_is_enough() -> None:
    assert column(decimals=0).precision == "double"
    assert column(decimals=9).decimals == 9
    assert column(precision="single").decimals is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"levels": ()}, "'sex'.*without levels"),
        ({"unit": "mg/dL"}, "'sex'.*no unit"),
        ({"minimum": 0.0}, "'sex'.*no limits"),
        ({"levels": (Level(code="1", label="a"), Level(code="1.0", label="b"))}, "'sex'.*same code"),
        ({"levels": (Level(code="", label="a"),)}, "'sex'.*empty"),
        ({"missing_codes": ("0",)}, "'sex'.*also a level"),
        ({"levels": tuple(Level(code=str(i), label="x") for i in range(1025))}, "'sex'.*1024"),
    ],
)
def test_a_contradictory_category_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        category(**changes)


def test_columns_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(DocumentError, match="'CHOL' is declared twice"):
        dictionary(column(), column(name="CHOL"))


def test_a_dictionary_without_publishable_columns_is_refused() -> None:
    with pytest.raises(DocumentError, match="every column"):
        dictionary(category(role="id", levels=()))
    with pytest.raises(DocumentError, match="1 to"):
        DataDictionary(title="x", description="", columns=())
    with pytest.raises(DocumentError, match="title"):
        DataDictionary(title="", description="", columns=(column(),))


def test_ids_are_not_among_the_published_columns() -> None:
    patient = category(name="patient", role="id", levels=())

    published = dictionary(patient, column()).published_columns

    assert [entry.name for entry in published] == ["chol"]


def test_an_unknown_column_is_an_input_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no column 'bmi'") as caught:
        dictionary().column("bmi")

    assert caught.value.hint is not None
    assert "chol" in caught.value.hint


@pytest.mark.parametrize(
    "unit",
    ["1", "mm[Hg]", "/min", "mg/dL", "mmol/L", "kg/m2", "%", "a", "mL/min/{1.73_m2}", "mL/min/1.73.m2", "10*9/L",
     "10^3/uL", "[degF]", "{score}", "umol/L", "[in_i]", "h-1", "m.s-2", "mmol/mol", "[IU]/L"],
)  # fmt: skip
def test_a_ucum_unit_is_accepted(unit: str) -> None:
    check_ucum(unit, where="here")


@pytest.mark.parametrize(
    ("unit", "hint"),
    [
        ("mmHg", "mm[Hg]"), ("bpm", "/min"), ("years", "a"), ("mg/dl", "mg/dL"), ("mmol/l", "mmol/L"),
        ("kg/m^2", "kg/m2"), ("kg/m²", "kg/m2"), ("percent", "%"), ("µmol/l", "umol/L"),
        ("", "ucum"), ("mg / dL", "ucum"), ("mg/", "ucum"), ("[", "ucum"), ("a" * 33, "ucum"), ("//min", "ucum"),
    ],
)  # fmt: skip
def test_a_unit_that_is_not_ucum_is_refused_with_the_right_spelling(unit: str, hint: str) -> None:
    with pytest.raises(DocumentError, match=r"here: the unit") as caught:
        check_ucum(unit, where="here")

    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_codes_lose_blanks_and_zero_fractions_only() -> None:
    codes = [" 4.0 ", "4", "04", "4.5", "-9.00", "A1.0", ""]

    normalised = [normalise_code(code) for code in codes]

    assert normalised == ["4", "4", "04", "4.5", "-9", "A1.0", ""]


def test_hospitals_with_the_same_meaning_are_compatible() -> None:
    other = dictionary(column(title="other title", minimum=1), category(levels=LEVELS[::-1]))

    check_compatible({"a": dictionary(column(), category()), "b": other}, ["chol", "sex"])


def test_different_units_are_refused_naming_hospitals_column_and_both_units() -> None:
    cohorts = {"aspen": dictionary(), "birch": dictionary(column(unit="mmol/L"))}

    with pytest.raises(InputError, match=r"'chol'.*'aspen' declares unit mg/dL.*'birch' declares unit mmol/L"):
        check_compatible(cohorts, ["chol"])


def test_different_datatypes_are_refused() -> None:
    cohorts = {"aspen": dictionary(), "birch": dictionary(column(datatype="integer"))}

    with pytest.raises(InputError, match=r"datatype number.*datatype integer"):
        check_compatible(cohorts, ["chol"])


def test_a_code_with_two_meanings_is_refused() -> None:
    flipped = (Level(code="0", label="male"), Level(code="1.0", label="female"))
    cohorts = {"aspen": dictionary(category()), "birch": dictionary(category(levels=flipped))}

    with pytest.raises(InputError, match=r"'sex', level '0'.*'female'.*'male'"):
        check_compatible(cohorts, ["sex"])


def test_a_hospital_without_the_column_is_named() -> None:
    with pytest.raises(InputError, match="'aspen' publishes no column 'sex'"):
        check_compatible({"aspen": dictionary()}, ["sex"])
