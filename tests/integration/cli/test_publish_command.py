"""`heartify hospital publish`, `opt-out`, and what a lab sees of it: from every kind of source, on a real chain."""

from __future__ import annotations

import dataclasses
import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.errors import InputError, KeystoreError, PolicyError, UsageError

DOCUMENTS = ["catalogue.jsonld", "dictionary.csvw.json", "statistics.json", "synthetic-twin.csv"]
COLUMNS = ["age", "systolic", "chol", "smoker", "cvd"]


@pytest.fixture
def publish(run, dictionary):
    def call(source, dataset, *options):
        return run("hospital", "publish", source, "--dictionary", dictionary, "--dataset", dataset, *options, "--json")

    return call


def test_published_csv_is_one_document_on_stdout_and_in_the_catalogue(publish, run, patients, write_csv):
    published = publish(write_csv(patients), "plain")
    catalogue = run("lab", "catalogue", "--json")

    assert published.code == 0
    assert published.document["columns"] == COLUMNS
    assert published.document["rows_rounded"] == 400
    assert published.document["documents"] == DOCUMENTS
    assert published.document["resumed"] is False
    entry = next(item for item in catalogue.document if item["version"] == published.document["version"])
    assert (entry["rows_rounded"], entry["documents"], entry["problem"]) == (400, DOCUMENTS, None)


def test_messages_of_a_publication_are_words_on_stderr_without_a_bar(publish, patients, write_csv):
    published = publish(write_csv(patients), "messages")

    lines = published.err.splitlines()
    assert published.code == 0
    assert all(line.startswith("the catalogue record lacks ") for line in lines)
    assert "\x1b" not in published.err + published.out
    assert "reading" not in published.err


def test_people_are_shown_the_version_as_a_table(run, patients, write_csv, dictionary):
    ran = run("hospital", "publish", write_csv(patients), "--dictionary", dictionary, "--dataset", "people")

    assert ran.code == 0
    assert "synthetic-twin.csv" in ran.out
    assert "0x" in ran.out


def test_text_as_another_country_writes_it_is_published_by_its_options(publish, run, patients, tmp_path):
    path = tmp_path / "kohorte.csv"
    lines = ["patient|age|systolic|chol|smoker|cvd|Größe"]
    lines += ["|".join(map(str, row.cells)).replace(".", ",") + "|170" for row in patients]
    path.write_bytes("\r\n".join(lines).encode("windows-1252"))
    written = ("--delimiter", "|", "--decimal", ",", "--encoding", "windows-1252", "--ignore", "Größe")

    refused = publish(path, "german", "--delimiter", "|")
    published = publish(path, "german", *written)

    assert refused.code == InputError.exit_code
    assert published.code == 0
    assert published.document["columns"] == COLUMNS


def test_parquet_and_a_table_are_published_as_they_are(publish, patients, tmp_path):
    names = ["patient", *COLUMNS]
    values = [list(column) for column in zip(*(row.cells for row in patients), strict=True)]
    values[3] = [float(value) for value in values[3]]
    pq.write_table(pa.table(dict(zip(names, values, strict=True))), tmp_path / "cohort.parquet")
    connection = sqlite3.connect(tmp_path / "clinic.sqlite")
    connection.execute("CREATE TABLE visit (patient TEXT PRIMARY KEY, age INT, systolic INT, chol REAL, smoker, cvd)")
    connection.executemany("INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?)", zip(*values, strict=True))
    connection.commit()
    connection.close()

    parquet = publish(tmp_path / "cohort.parquet", "parquet")
    table = publish(f"sqlite:///{tmp_path / 'clinic.sqlite'}", "sql", "--sql-table", "visit")

    assert (parquet.code, table.code) == (0, 0)
    assert parquet.document["rows_rounded"] == table.document["rows_rounded"] == 400
    assert parquet.document["columns"] == table.document["columns"] == COLUMNS


def test_finding_stops_a_publication_until_it_is_accepted_with_a_reason(publish, patients, write_csv):
    old = [dataclasses.replace(row, age=95) if number < 30 else row for number, row in enumerate(patients)]
    path = write_csv(old)

    refused = publish(path, "old")
    hurried = publish(path, "old", "--accept", "age-over-89:age=ok")
    accepted = publish(path, "old", "--accept", "age-over-89:age=agreed with the ethics board on 1 May")

    assert refused.code == hurried.code == InputError.exit_code
    assert "age-over-89:age" in refused.document["message"]
    assert "too short" in hurried.document["message"]
    assert accepted.code == 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--accept", "age-over-89:age"], UsageError, "has no reason"),
        (["--accept", "=because it is so"], UsageError, "has no reason"),
        (["--accept", "a=a good reason", "--accept", "a=another one"], UsageError, "two reasons"),
        (["--accept", "zero-codes:age=they are real zeros"], InputError, "were not found"),
        (["--decimal", "comma"], UsageError, "decimal mark"),
        (["--query", "SELECT 1"], UsageError, "no meaning for a file"),
        (["--without-statistics", "weight"], InputError, "weight"),
    ],
)
def test_wrong_decision_or_option_is_refused_with_a_hint(publish, patients, write_csv, options, error, words):
    ran = publish(write_csv(patients), "wrong", *options)

    assert ran.document["error"] == error.__name__
    assert ran.code == ran.document["exit_code"] == error.exit_code
    assert words in ran.document["message"]
    assert ran.document["hint"]


def test_wrong_password_publishes_nothing(publish, patients, write_csv, tmp_path, monkeypatch):
    other = tmp_path / "password"
    other.write_text("another long password")
    monkeypatch.setenv("HEARTIFY_PASSWORD_FILE", str(other))

    ran = publish(write_csv(patients), "locked")

    assert ran.code == KeystoreError.exit_code


def test_columns_keep_their_statistics_and_a_twin_is_left_out_on_demand(
    publish, run, patients, write_csv, plan, tmp_path
):
    version = publish(
        write_csv(patients), "reserved", "--without-statistics", "systolic", "--no-synthetic-twin"
    ).document["version"]

    looked = run("lab", "dataset", version, "--out", tmp_path / "look", "--json")
    rehearsed = run("lab", "dry-run", plan, "--dataset-version", version, "--json")

    shown = {column["name"]: column for column in looked.document["statistics"]["columns"]}
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == DOCUMENTS[:3]
    assert "systolic" not in shown
    assert "age" in shown
    assert rehearsed.code == InputError.exit_code
    assert "without a synthetic twin" in rehearsed.document["message"]


def test_next_version_needs_ten_changed_patients_or_a_reason(publish, run, patients, write_csv):
    first = publish(write_csv(patients), "versions")
    nine = [dataclasses.replace(row, age=row.age + 1) if number < 9 else row for number, row in enumerate(patients)]

    refused = publish(write_csv(nine), "versions")
    written = publish(write_csv(nine), "versions", "--few-changes-reason", "corrects ages that were entered wrongly")

    assert first.code == 0
    assert refused.code == PolicyError.exit_code
    assert refused.document["hint"]
    assert written.code == 0
    assert written.document["version"] != first.document["version"]
    assert written.document["dataset"] == first.document["dataset"]


def test_opted_out_patients_are_left_out_of_the_next_version(publish, run, patients, write_csv, tmp_path):
    ids = tmp_path / "told.txt"
    ids.write_text("".join(f"{row.key}\n" for row in patients[:40]))
    path = write_csv(patients)
    first = publish(path, "opt-outs")

    told = run("hospital", "opt-out", ids, "--json")
    again = run("hospital", "opt-out", ids, "--json")
    following = publish(path, "opt-outs")
    back = run("hospital", "opt-out", ids, "--take-back", "--json")

    assert (first.document["opted_out"], first.document["rows_rounded"]) == (0, 400)
    assert told.document == {"given": 40, "changed": 40, "listed": 40}
    assert again.document == {"given": 40, "changed": 0, "listed": 40}
    assert following.code == 0
    assert (following.document["opted_out"], following.document["rows_rounded"]) == (40, 360)
    assert "40 rows were left out" in following.err
    assert back.document == {"given": 40, "changed": 40, "listed": 0}


def test_opt_outs_come_from_a_column_of_a_csv_file_too(run, tmp_path):
    path = tmp_path / "told.csv"
    path.write_text("date;patient\n2026-01-02;ABC1\n2026-01-03;ABC2\n")

    told = run("hospital", "opt-out", path, "--column", "patient", "--json")
    run("hospital", "opt-out", path, "--column", "patient", "--take-back")
    wrong = run("hospital", "opt-out", path, "--column", "person", "--json")

    assert told.document["changed"] == 2
    assert wrong.code == InputError.exit_code
    assert "ABC1" not in wrong.out + wrong.err


@pytest.mark.parametrize(
    ("options", "code"), [(["--day", "tomorrow"], 2), (["--day", "2999-01-01"], 3), (["--day", "2026-02-30"], 2)]
)
def test_opt_out_on_a_day_that_makes_no_sense_is_refused(run, tmp_path, options, code):
    ids = tmp_path / "told.txt"
    ids.write_text("ABC1\n")

    ran = run("hospital", "opt-out", ids, *options, "--json")

    assert ran.code == code == ran.document["exit_code"]


def test_no_patients_id_is_in_the_store_or_the_home(publish, run, market, patients, write_csv, tmp_path):
    ids = tmp_path / "told.txt"
    ids.write_text("".join(f"{row.key}\n" for row in patients[:12]))
    publish(write_csv(patients), "canary")
    run("hospital", "opt-out", ids)
    publish(write_csv(patients), "canary")
    run("hospital", "opt-out", ids, "--take-back")

    folders = (market.hospital, market.store, market.lab)
    searched = [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    assert len(searched) > 20
    assert [path for path in searched if b"KRANK" in path.read_bytes()] == []


def test_dry_run_has_one_document_and_its_file_says_that_it_is_synthetic(
    publish, run, patients, write_csv, plan, tmp_path
):
    version = publish(write_csv(patients), "rehearsed").document["version"]

    ran = run("lab", "dry-run", plan, "--dataset-version", version, "--out", tmp_path / "dry", "--json")

    stored = json.loads((tmp_path / "dry" / "synthetic-result.json").read_text())
    assert ran.code == 0, ran.err
    assert ran.document == stored
    assert ran.document["synthetic"] is True
    assert ran.document["verdict"] == "delivered"
    assert ran.document["versions"] == [version]
    assert {weight["factor"] for weight in ran.document["result"]["weights"]} == {"age", "smoker"}


def test_people_see_that_a_dry_run_is_synthetic(publish, run, patients, write_csv, plan):
    version = publish(write_csv(patients), "shown").document["version"]

    ran = run("lab", "dry-run", plan, "--dataset-version", version)

    assert ran.code == 0
    assert "SYNTHETIC DATA" in ran.out
    assert "verdict: delivered" in ran.out


def test_plan_that_fits_nothing_has_no_dry_run(run, plan):
    plan.write_text(plan.read_text().replace('"smoker"', '"hba1c"'))

    ran = run("lab", "dry-run", plan, "--json")

    assert ran.code == InputError.exit_code
    assert "no dataset fits the plan" in ran.document["message"]


def test_statistics_are_shown_and_documents_written(publish, run, patients, write_csv, tmp_path):
    version = publish(write_csv(patients), "looked-at").document["version"]

    people = run("lab", "dataset", version)
    machine = run("lab", "dataset", version, "--out", tmp_path / "look", "--json")

    assert people.code == machine.code == 0
    assert "about 400 patients; rounded, small counts left out" in people.out
    assert "systolic" in people.out
    assert machine.document["documents"] == DOCUMENTS
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == DOCUMENTS
    assert json.loads((tmp_path / "look" / "catalogue.jsonld").read_text())["@context"]


def test_unknown_version_is_named_as_such(run):
    ran = run("lab", "dataset", "0x" + "ab" * 32, "--json")

    assert ran.code == InputError.exit_code
    assert "lab catalogue" in ran.document["hint"]
