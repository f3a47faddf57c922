"""Rows of events as a PatientRows: re-readable, from any row on, out of core, and gone when closed or killed."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.cohort.events.event_rows import EventRows, open_events
from heartify.cohort.events.event_store import EVENT, EventStore
from heartify.cohort.events.mapping import parse_mapping
from heartify.cohort.events.work_folder import PrivateFolder, remove_leftovers
from heartify.cohort.steward_dictionary import CatalogueDetails, StewardDictionary
from heartify.errors import InputError, ServiceError
from heartify.protocol.dictionary import Column, DataDictionary

NAMES = "patient age systolic"


@pytest.fixture
def source(omop: Any) -> Path:
    for key in range(1, 31):
        omop.person(key).period(key).measurement(key, "2015-01-01", 100 + key)
    return omop.write()


def test_rows_can_be_read_again_and_from_any_row_on(source: Path, open_rows: Callable[..., EventRows]) -> None:
    with open_rows(source, NAMES, kind="omop") as rows:
        first = pa.Table.from_batches(list(rows.batches()))
        again = pa.Table.from_batches(list(rows.batches()))
        rest = pa.Table.from_batches(list(rows.batches(start_row=12)))
        none = list(rows.batches(start_row=30))

    assert first.num_rows == 30
    assert again.equals(first)
    assert rest.equals(first.slice(12))
    assert none == []


def test_the_fraction_grows_to_one_and_begins_anew(source: Path, open_rows: Callable[..., EventRows]) -> None:
    with open_rows(source, NAMES, kind="omop") as rows:
        before = rows.fraction_read()
        seen = [rows.fraction_read() for _ in rows.batches()]
        after = rows.fraction_read()

    assert (before, seen, after) == (0.0, [1.0], 0.0)


def test_reading_the_source_is_told_to_who_asks_before_the_first_batch(
    source: Path, open_rows: Callable[..., EventRows]
) -> None:
    told: list[float | None] = []

    with open_rows(source, NAMES, kind="omop", report=told.append) as rows:
        next(rows.batches())
        before_first_batch = list(told)

    numbers = [fraction for fraction in before_first_batch if fraction is not None]
    assert len(numbers) == len(before_first_batch) >= 3
    assert numbers == sorted(numbers)
    assert 0 < numbers[0] < numbers[-1] <= 0.8


def test_the_fingerprint_follows_files_mapping_and_dictionary(
    source: Path, open_rows: Callable[..., EventRows]
) -> None:
    same = [open_rows(source, NAMES, kind="omop").fingerprint() for _ in range(2)]
    other_columns = open_rows(source, "patient age", kind="omop").fingerprint()
    other_index = open_rows(source, NAMES, kind="omop", index='rule = "observation_start"').fingerprint()
    (source / "DEATH.csv").write_text("person_id,death_date\n1,2016-01-01\n")
    other_files = open_rows(source, NAMES, kind="omop").fingerprint()

    assert same[0] == same[1]
    assert len({same[0], other_columns, other_index, other_files}) == 4


def test_a_source_that_changed_between_two_readings_is_refused(
    source: Path, open_rows: Callable[..., EventRows]
) -> None:
    with open_rows(source, NAMES, kind="omop") as rows:
        list(rows.batches())
        (source / "DEATH.csv").write_text("person_id,death_date\n1,2016-01-01\n")

        with pytest.raises(InputError, match="the source changed since it was read first"):
            list(rows.batches())


def test_the_work_folder_is_private_while_open_and_empty_after(
    source: Path, tmp_path: Path, open_rows: Callable[..., EventRows]
) -> None:
    work = tmp_path / "work"

    with open_rows(source, NAMES, kind="omop") as rows:
        list(rows.batches())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()}

    assert modes == {0o700}
    assert list(work.iterdir()) == []


def test_the_work_folder_is_empty_after_a_refusal(
    source: Path, tmp_path: Path, open_rows: Callable[..., EventRows]
) -> None:
    (source / "PERSON.csv").write_text("person_id\nx\n")
    rows = open_rows(source, NAMES, kind="omop")

    with pytest.raises(InputError):
        list(rows.batches())

    assert list((tmp_path / "work").iterdir()) == []
    assert rows.derivation is None


def test_rows_that_nobody_holds_any_more_leave_nothing_behind(
    source: Path, tmp_path: Path, open_rows: Callable[..., EventRows]
) -> None:
    rows = open_rows(source, NAMES, kind="omop")
    list(rows.batches())

    del rows

    assert list((tmp_path / "work").iterdir()) == []


def test_folders_of_killed_runs_are_removed_and_those_in_use_are_not(tmp_path: Path) -> None:
    (tmp_path / "events-killed").mkdir()
    (tmp_path / "events-killed" / "spilled").write_text("left behind")
    (tmp_path / "other").mkdir()
    (tmp_path / "events-link").symlink_to(tmp_path / "other")
    used = tmp_path / "events-used"
    used.mkdir()
    holder = os.open(used, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)

    removed = remove_leftovers(tmp_path)
    os.close(holder)

    assert removed == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events-link", "events-used", "other"]


def test_a_work_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="the work folder cannot be used"):
        PrivateFolder(tmp_path / "file")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = EventStore(tmp_path, memory_limit_bytes=64 * 1024**2, threads=2)
    yield store
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/heartify-event-store-test.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '/tmp/heartify-event-store-test.db'",
        "SET enable_external_access = true",
        "SET memory_limit = '64GB'",
    ],
)
def test_the_store_reaches_no_file_no_extension_and_no_setting(store: EventStore, statement: str) -> None:
    with pytest.raises(ServiceError):
        store.run(statement)


def test_what_the_store_says_of_a_failure_never_quotes_a_value(store: EventStore) -> None:
    with pytest.raises(ServiceError) as failure:
        store.run("SELECT CAST($text AS INTEGER)", {"text": "Zaphod-4711"})

    assert "Zaphod" not in str(failure.value.diagnostics())
    assert failure.value.__cause__ is None


def test_spilled_blocks_are_not_readable(tmp_path: Path) -> None:
    store = EventStore(tmp_path, memory_limit_bytes=32 * 1024**2, threads=2)
    store.run("CREATE TABLE big AS SELECT 'Zaphod-Beeblebrox-' || md5(range::VARCHAR) AS text FROM range(800000)")

    spilled = [path for path in (tmp_path / "spilled").rglob("*") if path.is_file() and path.stat().st_size]
    contents = b"".join(path.read_bytes() for path in spilled)
    store.close()

    assert len(contents) > 1024**2
    assert b"Zaphod" not in contents
    assert not any(path.exists() for path in spilled)


def test_rows_of_another_form_do_not_enter_the_store(store: EventStore) -> None:
    with pytest.raises(InputError, match="not in its form"):
        store.insert("event", pa.table({"key": ["a"]}))

    store.insert("event", EVENT.empty_table())
    assert store.count("SELECT count(*) FROM event") == 0


@pytest.fixture
def large_source(tmp_path: Path) -> Path:
    """20,000 patients with 20 measurements each, as Parquet: more than the memory that the test allows."""
    folder, patients, each = tmp_path / "large", 20_000, 20
    folder.mkdir()
    key = np.arange(patients)
    start, end = (np.full(patients, day, "datetime64[D]") for day in ("2010-01-01", "2020-12-31"))
    pq.write_table(pa.table({"person_id": key, "year_of_birth": np.full(patients, 1950)}), folder / "person.parquet")
    period = {"person_id": key, "observation_period_start_date": start, "observation_period_end_date": end}
    pq.write_table(pa.table(period), folder / "observation_period.parquet")
    row = np.arange(patients * each)
    random = np.random.default_rng(4711)
    days = np.datetime64("2014-06-01") + random.permutation(row) // (2 * patients)
    measurement = {
        "measurement_id": row,
        "person_id": row % patients,
        "measurement_concept_id": np.full(len(row), 3004249),
        "measurement_date": days,
        "value_as_number": 100.0 + random.integers(0, 100, len(row)),
        "unit_concept_id": np.full(len(row), 8876),
    }
    pq.write_table(pa.table(measurement), folder / "measurement.parquet")
    return folder


def test_a_source_larger_than_the_memory_is_derived_as_numpy_derives_it(
    large_source: Path, tmp_path: Path, columns: dict[str, Column]
) -> None:
    rule = 'kind = "measurement"\ncodes = ["OMOP:3004249"]\nwindow_days = [-365, 0]\npick = "maximum"'
    text = (
        '[source]\nkind = "omop"\n[index]\nrule = "fixed_date"\ndate = 2015-06-01\n'
        f'[[columns]]\nname = "systolic"\n{rule}\n'
    )
    dictionary = DataDictionary(title="Large", description="", columns=(columns["systolic"],))
    steward = StewardDictionary(dictionary=dictionary, sources={}, catalogue=CatalogueDetails())
    mapping = parse_mapping(text, file="mapping.toml")
    measured = pq.read_table(large_source / "measurement.parquet")
    wanted = np.zeros(20_000)
    np.maximum.at(wanted, measured["person_id"].to_numpy(), measured["value_as_number"].to_numpy())

    work = tmp_path / "work"
    with open_events(str(large_source), mapping, steward, work_folder=work, memory_bytes=64 * 1024**2) as rows:
        table = pa.Table.from_batches(list(rows.batches()))
        spilled = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())

    assert np.array_equal(table["systolic"].to_numpy(), wanted)
    assert spilled > 1024**2
    assert list(work.iterdir()) == []


def test_too_little_memory_is_a_failed_service_and_leaves_nothing_behind(
    large_source: Path, tmp_path: Path, open_rows: Callable[..., EventRows]
) -> None:
    rows = open_rows(large_source, NAMES, kind="omop", memory_bytes=1024**2)

    with pytest.raises(ServiceError, match="do not fit into the memory"):
        list(rows.batches())

    assert list((tmp_path / "work").iterdir()) == []
