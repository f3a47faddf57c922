"""`heartify hospital check`: what publishing would find, from any source, with nothing published and no password."""

from __future__ import annotations

import csv as csv_module

import pytest


def check(heartify, source, dictionary, tmp_path, *options):
    return heartify(*("hospital", "check", source, "--dictionary", dictionary, "--home", tmp_path / "home"), *options)


def rewrite(path, **replaced):
    """Give columns of a CSV file one value in every row."""
    rows = list(csv_module.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv_module.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **replaced} for row in rows)


def test_cohort_without_faults_has_no_findings(heartify, csv_file, dictionary, tmp_path):
    ran = check(heartify, csv_file, dictionary, tmp_path, "--json")

    assert ran.code == 0
    assert ran.document == {"rows": 120, "derivation": None, "findings": []}
    assert ran.err == ""


def test_people_see_counts_and_that_there_are_no_findings(heartify, csv_file, dictionary, tmp_path):
    ran = check(heartify, csv_file, dictionary, tmp_path)

    assert ran.code == 0
    assert "120 rows (exact: stays in the hospital)" in ran.out
    assert "no findings" in ran.out
    assert "what was seen" not in ran.out


def test_every_kind_of_source_gives_the_same_counts(heartify, csv_file, parquet_file, database, dictionary, tmp_path):
    ran = [
        check(heartify, csv_file, dictionary, tmp_path, "--json"),
        check(heartify, parquet_file, dictionary, tmp_path, "--json"),
        check(heartify, database, dictionary, tmp_path, "--sql-table", "visit", "--json"),
        check(heartify, database, dictionary, tmp_path, "--query", "SELECT * FROM visit ORDER BY patient", "--json"),
    ]

    assert [one.code for one in ran] == [0, 0, 0, 0]
    assert all(one.document == ran[0].document for one in ran)


def test_german_spreadsheet_is_read_by_its_options_and_its_own_names(heartify, german_file, dictionary, tmp_path):
    text = dictionary.read_text().replace('name = "patient"', 'name = "patient"\nsource = { name = "Patient" }')
    dictionary.write_text(text.replace('name = "age"', 'name = "age"\nsource = { name = "Alter" }'))
    written = ("--delimiter", "|", "--decimal", ",", "--encoding", "windows-1252")

    refused = check(heartify, german_file, dictionary, tmp_path, *written, "--json")
    ran = check(heartify, german_file, dictionary, tmp_path, *written, "--ignore", "Größe", "--json")

    assert refused.code == 3
    assert "Größe" in refused.document["message"]
    assert ran.code == 0
    assert ran.document["rows"] == 120


def test_findings_stand_by_the_names_under_which_they_are_accepted(heartify, csv_file, dictionary, tmp_path):
    rewrite(csv_file, age="95")

    machine = check(heartify, csv_file, dictionary, tmp_path, "--json")
    people = check(heartify, csv_file, dictionary, tmp_path)

    found = {finding["name"]: finding for finding in machine.document["findings"]}
    assert machine.code == people.code == 0
    assert found["age-over-89:age"]["column"] == "age"
    assert found["age-over-89:age"]["hint"]
    assert "age-over-89:age" in people.out
    assert f"{len(found)} finding(s) to decide about" in people.out


def test_checking_makes_no_home_and_asks_for_no_password(heartify, csv_file, dictionary, tmp_path):
    ran = check(heartify, csv_file, dictionary, tmp_path)

    assert ran.code == 0
    assert not (tmp_path / "home").exists()


def test_faulty_value_is_named_by_line_and_column_and_not_shown(heartify, csv_file, dictionary, tmp_path):
    lines = csv_file.read_text().splitlines()
    lines[7] = lines[7].replace(",", ",geheim", 1)
    csv_file.write_text("\n".join(lines) + "\n")

    ran = check(heartify, csv_file, dictionary, tmp_path, "--json")

    assert ran.code == 3
    assert ran.document["error"] == "InputError"
    assert "line 8, column age" in ran.document["message"]
    assert "geheim" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--decimal", ";"], "decimal mark is ';'", 2),
        (["--delimiter", "ab"], "delimiter is 'ab'", 2),
        (["--encoding", "klingon"], "unknown encoding", 2),
        (["--query", "SELECT 1"], "query has no meaning for a file", 2),
        (["--sql-password-file", "p"], "sql-password-file has no meaning for a file", 2),
        (["--mapping", "none.toml", "--ignore", "x"], "ignore has no meaning for a source with a mapping", 2),
        (["--mapping", "none.toml", "--sql-table", "x"], "sql-table has no meaning for a source with a mapping", 2),
        (["--mapping", "none.toml"], "none.toml", 3),
    ],
)
def test_wrong_option_is_refused_with_a_hint(
    heartify, csv_file, dictionary, tmp_path, monkeypatch, options, words, code
):
    monkeypatch.chdir(tmp_path)

    ran = check(heartify, csv_file, dictionary, tmp_path, *options)

    assert ran.code == code
    assert words in ran.err
    assert ran.out == ""


def test_password_in_an_address_is_refused_and_not_repeated(heartify, dictionary, tmp_path):
    address = "postgresql://steward:geheim@127.0.0.1/clinic"

    ran = check(heartify, address, dictionary, tmp_path, "--sql-table", "visit")

    assert ran.code == 2
    assert "--sql-password-file" in ran.err
    assert "geheim" not in ran.err


@pytest.mark.parametrize("query", ["SELECT * FROM visit", "DELETE FROM visit ORDER BY patient", "DROP TABLE visit"])
def test_query_that_is_no_ordered_selection_is_refused(heartify, database, dictionary, tmp_path, query):
    ran = check(heartify, database, dictionary, tmp_path, "--query", query)
    after = check(heartify, database, dictionary, tmp_path, "--sql-table", "visit", "--json")

    assert ran.code == 3
    assert "\nhint: " in ran.err
    assert after.document["rows"] == 120
