"""One publication: what lies where afterwards, and what a source that changes meanwhile leads to."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from heartify.cohort.storage.version_files import load_manifest
from heartify.errors import InputError, UsageError
from tests.unit.hospital.publishing.conftest import DICTIONARY, FileLike, patients


def test_published_version_holds_every_row_in_order(clinic):
    published = clinic.publish(patients(0, 2600))

    read = clinic.read(published, "age", "systolic", "cvd")
    expected = patients(0, 2600)
    for name, values in read.items():
        np.testing.assert_array_equal(values, np.asarray(expected[name].to_pylist(), np.float64))
    assert (published.rows_rounded, published.resumed) == (2600, False)
    assert [event.version for event in clinic.registry.events] == [published.version]


def test_manifest_names_the_documents_of_the_catalogue(clinic):
    published = clinic.publish(patients(0, 600))

    manifest = load_manifest(clinic.ports.store, published.version)
    assert [document.name for document in manifest.documents] == list(published.documents)
    assert "synthetic-twin.csv" in published.documents
    assert set(clinic.ports.store.list(published.version[2:])) == {
        *published.documents,
        "manifest.json",
        "dictionary.json",
    }


def test_steward_may_publish_without_a_twin(clinic):
    published = clinic.publish(patients(0, 600), synthetic_twin=False)

    assert published.documents == ("catalogue.jsonld", "dictionary.csvw.json", "statistics.json")


def test_column_whose_statistics_stay_at_home_is_not_in_them(clinic):
    published = clinic.publish(patients(0, 600), without_statistics=frozenset({"systolic"}))

    document = clinic.ports.store.get(f"{published.version[2:]}/statistics.json", max_bytes=1 << 20)
    assert [column["name"] for column in msgspec.json.decode(document)["columns"]] == ["age", "cvd"]


def test_nothing_of_a_finished_publication_is_under_way(clinic):
    clinic.publish(patients(0, 600))

    assert not clinic.under_way()


def test_report_and_change_record_stay_in_the_home(clinic):
    published = clinic.publish(patients(0, 600))

    assert clinic.home.publication_report(published.version).exists()
    assert clinic.home.change_record(published.version).exists()


def test_progress_tells_both_passes_up_to_the_last_row(clinic):
    told: dict[str, list[int]] = {}

    clinic.publish(patients(0, 2600), report=lambda step, rows, _: told.setdefault(step, []).append(rows))

    assert list(told) == ["reading", "encrypting"]
    assert all(rows == sorted(rows) and rows[-1] == 2600 for rows in told.values())


def test_source_that_grows_between_the_passes_is_refused_and_not_registered(clinic):
    class Growing(FileLike):
        reads = 0

        def batches(self, start_row=0):
            self.reads += 1
            more = patients(0, 700 + 30 * self.reads)
            yield from more.slice(start_row).to_batches()

    with pytest.raises(InputError, match="730 rows when it was checked, and 760 now"):
        clinic.publish(Growing(patients(0, 700), DICTIONARY))
    assert clinic.registry.events == []


def test_dataset_is_published_by_one_process_at_a_time(clinic):
    folder = clinic.ports.journal_folder(clinic.ports.dataset("cohort"))

    with folder.locked(), pytest.raises(UsageError, match="another process is publishing"):
        clinic.publish(patients(0, 600))
