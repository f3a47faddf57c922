"""`heartify hospital describe`: a draft from any source, and nobody's file replaced."""

from __future__ import annotations

import tomllib

import pytest

from heartify.cohort.dictionary_toml import load_steward_dictionary
from heartify.errors import InputError


def columns_of(path):
    return {column["name"]: column for column in tomllib.loads(path.read_text())["columns"]}


def test_draft_of_a_csv_file_names_types_units_and_codes(heartify, csv_file, tmp_path):
    out = tmp_path / "draft.toml"

    ran = heartify("hospital", "describe", csv_file, "--out", out, "--json")

    drafted = columns_of(out)
    assert ran.code == 0
    assert ran.document["dictionary"] == str(out)
    assert list(drafted) == ["patient", "age", "systolic", "chol", "cvd"]
    assert drafted["patient"]["role"] == "id"
    assert (drafted["systolic"]["unit"], drafted["systolic"]["loinc"]) == ("mm[Hg]", "8480-6")
    assert drafted["chol"]["unit"] == "mmol/L"
    assert drafted["cvd"]["datatype"] == "boolean"


def test_guesses_are_counted_as_they_are_marked(heartify, csv_file, tmp_path):
    out = tmp_path / "draft.toml"

    ran = heartify("hospital", "describe", csv_file, "--out", out, "--json")

    lines = [line for line in out.read_text().splitlines() if not line.startswith("# Draft")]
    assert ran.document["guesses"] == sum("# guess: " in line for line in lines) > 5


def test_draft_is_refused_until_it_was_reviewed(heartify, csv_file, tmp_path):
    out = tmp_path / "draft.toml"
    heartify("hospital", "describe", csv_file, "--out", out)

    ran = heartify("hospital", "check", csv_file, "--dictionary", out, "--home", tmp_path / "home")
    out.write_text(out.read_text().replace("reviewed = false", "reviewed = true"))
    again = heartify("hospital", "check", csv_file, "--dictionary", out, "--home", tmp_path / "home")

    assert (ran.code, again.code) == (InputError.exit_code, 0)
    assert "has not been reviewed" in ran.err
    assert load_steward_dictionary(out).dictionary.columns[0].role == "id"


def test_existing_file_is_never_replaced(heartify, csv_file, tmp_path):
    out = tmp_path / "mine.toml"
    out.write_text("my own words")

    ran = heartify("hospital", "describe", csv_file, "--out", out)

    assert ran.code == 2
    assert "is there already" in ran.err
    assert out.read_text() == "my own words"


def test_dangling_link_is_not_followed(heartify, csv_file, tmp_path):
    out, elsewhere = tmp_path / "draft.toml", tmp_path / "elsewhere.toml"
    out.symlink_to(elsewhere)

    ran = heartify("hospital", "describe", csv_file, "--out", out)

    assert ran.code == 2
    assert not elsewhere.exists()


def test_draft_holds_no_patients_id(heartify, csv_file, tmp_path):
    out = tmp_path / "draft.toml"

    heartify("hospital", "describe", csv_file, "--out", out)

    assert "K5" in csv_file.read_text()
    assert "K5" not in out.read_text()


def test_delimiter_and_encoding_are_taken_from_the_options(heartify, german_file, tmp_path):
    out = tmp_path / "draft.toml"

    ran = heartify(
        *("hospital", "describe", german_file, "--out", out), *("--delimiter", "|", "--encoding", "windows-1252")
    )

    drafted = columns_of(out)
    assert ran.code == 0
    assert drafted["chol"]["datatype"] == "number"
    assert "Größe" in {column.get("source", {}).get("name", name) for name, column in drafted.items()}


def test_parquet_and_a_table_are_described_as_the_csv_file_is(heartify, csv_file, parquet_file, database, tmp_path):
    heartify("hospital", "describe", csv_file, "--out", tmp_path / "csv.toml")
    heartify("hospital", "describe", parquet_file, "--out", tmp_path / "parquet.toml")
    heartify("hospital", "describe", database, "--sql-table", "visit", "--out", tmp_path / "sql.toml")

    expected = columns_of(tmp_path / "csv.toml")
    assert columns_of(tmp_path / "parquet.toml") == expected
    assert columns_of(tmp_path / "sql.toml") == expected


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--decimal", ";"], "decimal mark is ';'", 2),
        (["--delimiter", ";;"], "delimiter is ';;'", 2),
        (["--delimiter", ""], "delimiter is ''", 2),
        (["--delimiter", "a"], "delimiter is 'a'", 2),
        (["--sql-table", "visit"], "option sql-table has no meaning for a file", 2),
        (["--encoding", "klingon"], "unknown encoding 'klingon'", 2),
    ],
)
def test_wrong_option_is_a_usage_error_with_a_hint_and_no_file(heartify, csv_file, tmp_path, options, words, code):
    out = tmp_path / "draft.toml"

    ran = heartify("hospital", "describe", csv_file, "--out", out, *options)

    assert ran.code == code
    assert words in ran.err
    assert "\nhint: " in ran.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("source", "code"),
    [("nothing.csv", 3), ("sqlite:///nothing.sqlite", 2), ("cohort.xlsx", 3)],
)
def test_source_that_is_not_there_is_refused_with_one_document(heartify, tmp_path, source, code, monkeypatch):
    monkeypatch.chdir(tmp_path)

    ran = heartify("hospital", "describe", source, "--out", "draft.toml", "--json")

    assert ran.code == code == ran.document["exit_code"]
    assert not (tmp_path / "draft.toml").exists()
