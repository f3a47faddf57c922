"""OMOP tables as CSV, Parquet and in a database give the same rows; what isn't OMOP is refused without its values."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from heartify.errors import InputError, ServiceError

NAMES = "patient age male systolic diabetes event days"
CANARY = "Zaphod-4711"


@pytest.fixture
def source(omop: Any) -> Path:
    for key in range(1, 8):
        omop.person(key, birth=f"195{key}-03-15", sex=8507 + 25 * (key % 2)).period(key)
        omop.measurement(key, "2015-01-01", 120 + key).measurement(key, "2014-12-01", 90)
    omop.condition(3, "2014-01-01", 201826).condition(4, "2016-01-01").death(5, "2018-01-01")
    return omop.write()


def test_parquet_files_in_small_letters_give_the_rows_of_csv(
    source: Path, tmp_path: Path, derive: Callable[..., Any]
) -> None:
    folder = tmp_path / "parquet"
    (folder / "measurement").mkdir(parents=True)
    for path in source.iterdir():
        table = pacsv.read_csv(path)
        if path.stem == "MEASUREMENT":
            pq.write_table(table.slice(0, 5), folder / "measurement" / "part-0.parquet")
            pq.write_table(table.slice(5), folder / "measurement" / "part-1.parquet")
        else:
            pq.write_table(
                table.rename_columns([n.upper() for n in table.column_names]), folder / f"{path.stem}.Parquet"
            )

    from_csv = derive(source, NAMES, kind="omop")
    from_parquet = derive(folder, NAMES, kind="omop")

    assert from_parquet.rows == from_csv.rows
    assert from_parquet.report == from_csv.report
    assert len(from_csv.rows) == 7


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_tabs_and_semicolons_separate_as_well(
    source: Path, tmp_path: Path, derive: Callable[..., Any], delimiter: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for path in source.iterdir():
        with path.open(newline="") as file, (folder / path.name.lower()).open("w", newline="") as copy:
            csv.writer(copy, delimiter=delimiter).writerows(csv.reader(file))

    assert derive(folder, NAMES, kind="omop").rows == derive(source, NAMES, kind="omop").rows


@pytest.fixture
def database(source: Path, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'cdm.sqlite'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for path in source.iterdir():
            table = pacsv.read_csv(path)
            kinds = [_sql_type(field) for field in table.schema]
            columns = [sa.Column(field.name, kind) for field, kind in zip(table.schema, kinds, strict=True)]
            made = sa.Table(path.stem.lower(), sa.MetaData(), *columns)
            made.create(connection)
            if table.num_rows:
                connection.execute(sa.insert(made), table.to_pylist())
    engine.dispose()
    return url


def _sql_type(field: pa.Field) -> Any:
    if pa.types.is_date(field.type):
        return sa.Date()
    return sa.Integer() if pa.types.is_integer(field.type) else sa.Text()


def test_a_database_gives_the_rows_of_csv(source: Path, database: str, derive: Callable[..., Any]) -> None:
    from_database = derive(database, NAMES, kind="omop")

    assert from_database.rows == derive(source, NAMES, kind="omop").rows


def test_a_database_can_not_say_whether_it_changed(database: str, open_rows: Callable[..., Any]) -> None:
    with open_rows(database, NAMES, kind="omop") as rows:
        assert rows.fingerprint() is None
        assert rows.name == "OMOP database"


@pytest.mark.parametrize(
    "url", ["postgresql://steward:geheim@db.example/cdm", "postgresql://db.example/cdm?password=geheim"]
)
def test_an_address_with_a_password_is_refused_without_showing_it(url: str, open_rows: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="holds a password") as refusal:
        open_rows(url, NAMES, kind="omop")

    assert "geheim" not in str(refusal.value.diagnostics())


def test_a_database_that_is_not_there_is_a_failed_service_without_its_address(
    tmp_path: Path, open_rows: Callable[..., Any]
) -> None:
    with pytest.raises(ServiceError) as refusal:
        open_rows(f"sqlite:///{tmp_path}/{CANARY}/none.sqlite", NAMES, kind="omop")

    assert CANARY not in str(refusal.value.diagnostics())


def test_an_unknown_driver_is_refused(open_rows: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="no driver"):
        open_rows("cobol://db.example/cdm", NAMES, kind="omop")


def test_a_password_is_read_from_its_file_only(database: str, tmp_path: Path, open_rows: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="cannot read the password file"):
        open_rows(database, NAMES, kind="omop", password_file=tmp_path / "absent")


def test_a_fhir_mapping_takes_no_database(database: str, open_rows: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="a FHIR source is a folder"):
        open_rows(database, "patient age", kind="fhir")


@pytest.mark.parametrize(
    ("table", "row", "expected"),
    [
        ("PERSON", {"person_id": CANARY}, r"person, column person_id, row 2: expected a whole number"),
        ("PERSON", {"person_id": ""}, r"person, column person_id, row 2: nothing stands there"),
        ("PERSON", {"person_id": 2, "year_of_birth": 1950, "month_of_birth": 13}, "a date of birth is no date"),
        (
            "MEASUREMENT",
            {"measurement_date": "2015-02-30"},
            r"measurement, column measurement_date, row 3: expected a date",
        ),
        ("MEASUREMENT", {"measurement_date": CANARY}, "column measurement_date, row 3: expected a date"),
        ("MEASUREMENT", {"value_as_number": CANARY}, "column value_as_number, row 3: expected a number"),
        ("MEASUREMENT", {"value_as_number": "1e999"}, "column value_as_number, row 3: expected a number"),
        ("DEATH", {"person_id": 1, "death_date": "01.02.2015"}, "death, column death_date, row 1: expected a date"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place_and_never_shown(
    omop: Any, derive: Callable[..., Any], table: str, row: dict[str, Any], expected: str
) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01", 120).measurement(1, "2015-01-02", 121)
    if table == "MEASUREMENT":
        omop.measurement(1, "2015-01-03", 122, **row)
    else:
        omop.add(table, row)

    with pytest.raises(InputError, match=expected) as refusal:
        derive(omop.write(), "patient systolic", kind="omop")

    assert CANARY not in str(refusal.value.diagnostics())
    assert refusal.value.__cause__ is None


def test_whole_numbers_with_a_zero_fraction_are_whole_numbers(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01 08:00:00", "120", unit_concept_id="8876.0")

    assert derive(omop.write(), "patient systolic", kind="omop").rows == [{"patient": "1", "systolic": 120.0}]


@pytest.mark.parametrize("table", ["PERSON", "OBSERVATION_PERIOD", "CONDITION_OCCURRENCE", "MEASUREMENT"])
def test_a_table_that_the_mapping_needs_must_be_there(source: Path, derive: Callable[..., Any], table: str) -> None:
    (source / f"{table}.csv").unlink()

    with pytest.raises(InputError, match=f"the source has no table {table.lower()}"):
        derive(source, NAMES, kind="omop")


def test_a_table_must_not_stand_there_twice(source: Path, derive: Callable[..., Any]) -> None:
    pq.write_table(pacsv.read_csv(source / "PERSON.csv"), source / "person.parquet")

    with pytest.raises(InputError, match="the table person stands there more than once"):
        derive(source, NAMES, kind="omop")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{CANARY},b\n1,2\n", "no column person_id"),
        (f"person_id\n1,{CANARY}\n", "cannot be read"),
        (f'person_id\n"{CANARY}', "cannot be read|expected a whole number"),
        ("person_id,person_id\n1,1\n", "stands twice"),
        ("", "no column person_id"),
    ],
)
def test_a_file_that_is_no_table_is_refused_without_what_stands_there(
    source: Path, derive: Callable[..., Any], content: str, expected: str
) -> None:
    (source / "PERSON.csv").write_text(content)

    with pytest.raises(InputError, match=expected) as refusal:
        derive(source, NAMES, kind="omop")

    assert CANARY not in str(refusal.value.diagnostics())


def test_a_file_that_is_no_parquet_is_refused(source: Path, derive: Callable[..., Any]) -> None:
    (source / "PERSON.csv").unlink()
    (source / "PERSON.parquet").write_bytes(b"PAR1" + b"\0" * 100)

    with pytest.raises(InputError, match=r"PERSON.parquet: cannot be read"):
        derive(source, NAMES, kind="omop")


@pytest.mark.parametrize("table", ["PERSON", "MEASUREMENT", "CONDITION_OCCURRENCE"])
def test_a_row_may_stand_twice_but_not_with_different_contents(
    omop: Any, derive: Callable[..., Any], table: str
) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01", 120).condition(1, "2014-01-01", 201826)
    change = {"PERSON": {"gender_concept_id": 8532}, "MEASUREMENT": {"value_as_number": 130}}
    first = omop.tables[table][0]
    omop.add(table, dict(first))

    twice = derive(omop.write(), "patient systolic diabetes", kind="omop")
    omop.add(table, first | change.get(table, {"condition_start_date": "2014-01-02"}))

    assert twice.rows == [{"patient": "1", "systolic": 120.0, "diabetes": True}]
    assert twice.report.columns["systolic"].counts["events"] == 1
    with pytest.raises(InputError, match="twice with different contents"):
        derive(omop.write(), "patient systolic diabetes", kind="omop")


def test_events_of_unknown_persons_are_counted(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).measurement(2, "2015-01-01", 120).period(3).death(4, "2015-01-01")

    derived = derive(omop.write(), "patient systolic", kind="omop")

    assert derived.rows == [{"patient": "1", "systolic": None}]
    assert derived.report.ignored == {"of-unknown-patients": 3}
    assert "3 records ignored: of unknown patients" in derived.report.text()


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_that_is_no_source_is_refused(tmp_path: Path, derive: Callable[..., Any], name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match=r"no such folder|no table of OMOP"):
        derive(tmp_path / name, "patient age", kind="omop")
