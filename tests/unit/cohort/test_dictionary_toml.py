from __future__ import annotations

import re
from pathlib import Path

import pytest

from heartify.cohort.dictionary_toml import load_dictionary_toml, parse_dictionary_toml
from heartify.errors import DocumentError, InputError

HEAD = 'title = "T"\ndescription = ""\n'
AGE = '[[columns]]\nname = "age"\ntitle = "Age"\ndatatype = "number"\nrole = "factor"\nunit = "a"\n'


def test_the_form_of_the_reference_page_parses() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "dictionary.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None

    dictionary = parse_dictionary_toml(example[1], file="dictionary.toml")

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
        ('format = "heartify.dictionary/2"\n' + HEAD + AGE, r"d\.toml: .*dictionary/2"),
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
