from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from heartify.cohort.dictionary_toml import (
    CatalogueDetails,
    ColumnSource,
    Organisation,
    StewardDictionary,
    load_dictionary_toml,
    load_steward_dictionary,
    parse_dictionary_toml,
    parse_steward_dictionary,
)
from heartify.errors import DocumentError, InputError

HEAD = 'title = "T"\ndescription = ""\n'
AGE = '[[columns]]\nname = "age"\ntitle = "Age"\ndatatype = "number"\nrole = "factor"\nunit = "a"\n'


def test_the_form_of_the_reference_page_parses() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "dictionary.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None

    steward = parse_steward_dictionary(example[1], file="dictionary.toml")

    dictionary = steward.dictionary
    assert steward.sources["cholesterol"] == ColumnSource(name="Chol_mmol", unit="mmol/L")
    assert steward.catalogue.publisher is not None
    assert {column.datatype for column in dictionary.columns} == {"number", "integer", "boolean", "category", "date"}
    assert {column.role for column in dictionary.columns} == {"factor", "outcome", "time", "id", "filter"}


def test_defaults_are_no_unit_no_limits_and_empty_as_missing() -> None:
    column = parse_dictionary_toml(HEAD + AGE.replace('unit = "a"\n', ""), file="d.toml").column("age")

    assert (column.unit, column.minimum, column.maximum, column.missing_codes) == ("1", None, None, ("",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + AGE + "colour = 1", r"d\.toml: .*colour.*column 'age'"),
        (HEAD + AGE.replace('"number"', '"numeric"'), r"d\.toml: .*numeric.*column 'age'"),
        (HEAD + AGE + 'minimum = "1"', r"d\.toml: .*column 'age'\.minimum"),
        (HEAD + AGE.replace('unit = "a"', 'unit = "years"'), r"d\.toml: dictionary column 'age'.*years"),
        (HEAD + AGE + AGE, r"d\.toml: dictionary column 'age' is declared twice"),
        (HEAD + AGE + "minimum = nan", r"d\.toml: .*'age'.*finite"),
        (HEAD, r"d\.toml: .*columns"),
        (HEAD + "columns = 3", r"d\.toml: .*columns"),
        ('format = "heartify.dictionary/1"\n' + HEAD + AGE, r"d\.toml: .*dictionary/1"),
        ("title = T", r"d\.toml: not TOML"),
    ],
)
def test_a_wrong_dictionary_is_refused_with_file_and_column(text: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said) as caught:
        parse_dictionary_toml(text, file="d.toml")

    assert caught.value.hint


def test_a_file_is_loaded_with_or_without_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "dictionary.toml"
    path.write_text("\ufeff" + HEAD + AGE, encoding="utf-8")

    assert load_dictionary_toml(path).title == "T"


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"\xff\xfe")

    with pytest.raises(InputError, match=r"absent\.toml: cannot read"):
        load_dictionary_toml(tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"bad\.toml: not UTF-8"):
        load_dictionary_toml(bad)


def test_an_enormous_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))

    with pytest.raises(InputError, match="larger"):
        load_dictionary_toml(path)


CHOLESTEROL = (
    '[[columns]]\nname = "chol"\ntitle = "Cholesterol"\ndatatype = "number"\nrole = "factor"\nunit = "mmol/L"\n'
    'loinc = "14647-2"\n'
)
CATALOGUE = """
[catalogue]
identifier = "https://clinic.example/datasets/1"
publisher = { name = "Clinic", url = "https://clinic.example" }
contact = { name = "Data office", email = "data@clinic.example" }
keywords = ["heart", "cohort"]
spatial = ["DE", "FR"]
languages = ["de"]
temporal_start = 2015-01-01
temporal_end = 2020-12-31
licence = "https://clinic.example/terms"
"""


def test_a_column_says_where_it_comes_from():
    steward = parse_steward_dictionary(
        HEAD + AGE + CHOLESTEROL + 'source = { name = "TotChol", unit = "mg/dL" }', file="d.toml"
    )

    assert steward.sources == {"chol": ColumnSource(name="TotChol", unit="mg/dL")}
    assert steward.source_of(steward.dictionary.column("chol")).name == "TotChol"
    assert steward.source_of(steward.dictionary.column("age")) == ColumnSource(name="age")


def test_a_source_without_a_name_is_the_column_of_the_same_name():
    steward = parse_steward_dictionary(HEAD + AGE + 'source = { unit = "d" }', file="d.toml")

    assert steward.sources == {"age": ColumnSource(name="age", unit="d")}


def test_the_public_dictionary_has_nothing_of_the_stewards_own_parts():
    text = HEAD + AGE + 'source = { name = "Alter", unit = "d" }\n' + CATALOGUE

    assert parse_dictionary_toml(text, file="d.toml") == parse_dictionary_toml(HEAD + AGE, file="d.toml")


def test_catalogue_details_are_typed():
    details = parse_steward_dictionary(HEAD + AGE + CATALOGUE, file="d.toml").catalogue

    assert details.publisher == Organisation(name="Clinic", url="https://clinic.example")
    assert (details.temporal_start, details.spatial) == (dt.date(2015, 1, 1), ("DE", "FR"))
    assert details.hdab is None


def test_without_a_catalogue_there_are_no_details():
    assert parse_steward_dictionary(HEAD + AGE, file="d.toml").catalogue == CatalogueDetails()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AGE + 'source = { name = "a", colour = 1 }', r"source of dictionary column 'age'.*colour"),
        (AGE + "source = 3", r"source of dictionary column 'age'"),
        (AGE + 'source = { name = "" }', r"source of dictionary column 'age'"),
        (AGE + 'source = { unit = "days" }', r"source of dictionary column 'age': the unit is 'days'"),
        (AGE + 'source = { unit = "kg" }', r"dictionary column 'age': there is no conversion from 'kg' to 'a'"),
        (AGE.replace('"a"', '"foo"'), r"dictionary column 'age': UCUM has no unit 'foo'"),
        (AGE + CHOLESTEROL + 'source = { name = "age" }', r"'age' and 'chol' come from the same column"),
        (
            AGE
            + '[[columns]]\nname = "s"\ntitle = "S"\ndatatype = "boolean"\nrole = "factor"\nsource = { unit = "d" }',
            r"dictionary column 's': a boolean has no unit",
        ),
        (AGE + "[catalogue]\ncolour = 1", r"colour"),
        (AGE + '[catalogue]\nlicence = "terms.pdf"', r"licence is not a web address"),
        (AGE + '[catalogue]\npublisher = { name = "C", url = "https://u:p@c.example" }', r"url is not a web address"),
        (AGE + '[catalogue]\ncontact = { name = "C", email = "nobody" }', r"email address is not usable"),
        (AGE + '[catalogue]\nspatial = ["Germany"]', r"spatial has a code of another form"),
        (AGE + '[catalogue]\nlanguages = ["German language"]', r"languages has a code"),
        (AGE + "[catalogue]\ntemporal_start = 2021-01-01\ntemporal_end = 2020-01-01", r"temporal_start is after"),
        (AGE + '[catalogue]\nkeywords = [""]', r"keywords"),
    ],
)
def test_wrong_parts_of_the_stewards_own_are_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"d\.toml: .*" + said) as caught:
        parse_steward_dictionary(HEAD + text, file="d.toml")

    assert caught.value.hint


def test_mass_converts_into_substance_only_with_the_code_of_the_analyte():
    text = HEAD + CHOLESTEROL + 'source = { unit = "mg/dL" }'

    assert parse_steward_dictionary(text, file="d.toml").sources["chol"].unit == "mg/dL"
    with pytest.raises(InputError, match=r"'chol': there is no conversion") as caught:
        parse_steward_dictionary(text.replace('loinc = "14647-2"\n', ""), file="d.toml")
    assert "LOINC" in (caught.value.hint or "")


def test_an_unreviewed_draft_is_refused_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "draft.toml"
    path.write_text("reviewed = false\n" + HEAD + AGE)

    for load in (load_steward_dictionary, load_dictionary_toml):
        with pytest.raises(InputError, match=r"draft\.toml: this draft has not been reviewed") as caught:
            load(path)
        assert "reviewed = true" in (caught.value.hint or "")


def test_a_reviewed_draft_is_a_dictionary_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "draft.toml"
    path.write_text("reviewed = true\n" + HEAD + AGE)

    assert load_steward_dictionary(path).dictionary == parse_dictionary_toml(HEAD + AGE, file="d.toml")
    with pytest.raises(DocumentError, match="neither true nor false"):
        parse_dictionary_toml('reviewed = "yes"\n' + HEAD + AGE, file="d.toml")


def test_a_deeply_nested_file_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"d\.toml"):
        parse_dictionary_toml("x = " + "[" * 100_000, file="d.toml")


def test_a_source_of_no_column_is_refused() -> None:
    dictionary = parse_dictionary_toml(HEAD + AGE, file="d.toml")

    assert StewardDictionary(dictionary, {"age": ColumnSource(name="Alter")}).sources["age"].name == "Alter"
    with pytest.raises(DocumentError, match="belongs to no column"):
        StewardDictionary(dictionary, {"height": ColumnSource(name="Groesse")})
