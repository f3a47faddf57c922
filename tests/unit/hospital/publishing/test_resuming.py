"""A publication that is killed anywhere goes on where it was, and one of other data begins anew."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.errors import ChainError
from tests.unit.hospital.publishing.conftest import DICTIONARY, VAULT_SEED, FileLike, Killed, patients


def killing(step: str, rows: int):
    """A report that kills the process at a step when so many rows are done."""

    def report(at: str, done: int, _fraction: float | None) -> None:
        if (at, done) == (step, rows):
            raise Killed

    return report


def objects(clinic) -> set[str]:
    return set(clinic.ports.store.list("objects"))


def kill(clinic, table, step: str, rows: int) -> None:
    with pytest.raises(Killed):
        clinic.publish(table, report=killing(step, rows))


def test_killed_while_encrypting_goes_on_with_the_first_row_that_is_not_stored(clinic):
    kill(clinic, patients(0, 2600), "encrypting", 2048)
    stored = objects(clinic)

    started: list[int] = []
    published = clinic.publish(patients(0, 2600), report=lambda step, rows, _: started.append(rows))

    assert published.resumed
    assert set() < stored < objects(clinic)
    assert started[0] > 2048  # no row before was read again, and none surveyed
    np.testing.assert_array_equal(clinic.read(published, "age")["age"], 30 + np.arange(2600) * 7 % 50)


def test_resumed_version_is_like_one_made_in_one_go(clinic):
    kill(clinic, patients(0, 2600), "encrypting", 1536)

    published = clinic.publish(patients(0, 2600))

    read = clinic.read(published, "age", "systolic", "cvd")
    np.testing.assert_array_equal(read["systolic"], 100 + np.arange(2600) * 13 % 80)
    assert len(read["cvd"]) == 2600


def test_killed_while_reading_begins_anew(clinic):
    kill(clinic, patients(0, 2600), "reading", 1024)

    assert not clinic.publish(patients(0, 2600)).resumed


def test_other_data_begin_anew_and_destroy_what_was_left(clinic):
    kill(clinic, patients(0, 2600), "encrypting", 2048)

    published = clinic.publish(patients(0, 2700))

    assert not published.resumed
    assert published.rows_rounded == 2700
    assert not clinic.under_way()


def test_source_that_cannot_tell_whether_it_changed_begins_anew(clinic):
    class Untold(FileLike):
        def fingerprint(self) -> str | None:
            return None

    rows = Untold(patients(0, 2600), DICTIONARY)
    kill(clinic, rows, "encrypting", 2048)

    assert not clinic.publish(rows).resumed


def test_registry_that_was_away_is_told_by_the_next_call(clinic):
    clinic.registry.refuses = True
    with pytest.raises(ChainError):
        clinic.publish(patients(0, 600))
    versions = clinic.ports.broker_store.versions()

    published = clinic.publish(patients(0, 600))

    assert published.resumed
    assert [version for version, _, _ in versions] == [published.version]
    assert [event.version for event in clinic.registry.events] == [published.version]


def test_killed_behind_the_registration_ends_without_a_second_one(clinic):
    original = clinic.registry.publish_version

    def register_and_die(dataset: str, version: str, url: str) -> None:
        original(dataset, version, url)
        clinic.registry.publish_version = original
        raise Killed

    clinic.registry.publish_version = register_and_die
    with pytest.raises(Killed):
        clinic.publish(patients(0, 600))

    published = clinic.publish(patients(0, 600))

    assert [event.version for event in clinic.registry.events] == [published.version]
    assert not clinic.under_way()


def test_home_of_a_killed_publication_holds_neither_patients_nor_an_open_key(clinic):
    kill(clinic, patients(0, 2600), "encrypting", 2048)

    data = b"".join(path.read_bytes() for path in clinic.home.path.rglob("*") if path.is_file())
    assert b"P000" not in data
    assert VAULT_SEED not in data
    journal = clinic.journal()
    assert journal.stat().st_mode & 0o077 == 0


def test_no_part_is_written_twice_under_one_file_key(clinic):
    """The journal is older than a part that the store has already: the part's second try has a salt of its own."""
    kill(clinic, patients(0, 2600), "encrypting", 1024)
    old_journal = clinic.journal().read_bytes()
    kill(clinic, patients(0, 2600), "encrypting", 2048)
    clinic.journal().write_bytes(old_journal)

    clinic.publish(patients(0, 2600))

    stored = objects(clinic)
    salts = {clinic.ports.store.get(f"objects/{name}", max_bytes=1 << 24)[8:40] for name in stored}
    assert len(stored) > 3 * 3  # one part of three columns lies there twice
    assert len(salts) == len(stored)
