"""The next version: enough patients changed or a written override, opt-outs applied, withdrawn versions remembered."""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from heartify.errors import InputError, PolicyError
from heartify.hospital.opt_outs import record_opt_outs
from heartify.protocol.dictionary import DataDictionary
from tests.unit.hospital.publishing.conftest import DICTIONARY, VAULT_SEED, patients

TODAY = dt.date(2026, 11, 22)


def opt_out(clinic, *numbers: int) -> None:
    ids = clinic.home.path / "ids.txt"
    ids.write_text("".join(f"P{number:06}\n" for number in numbers))
    record_opt_outs(clinic.home.path, VAULT_SEED, ids, today=TODAY)
    ids.unlink()


@pytest.mark.parametrize("last", [600, 601, 609])
def test_version_that_differs_in_fewer_than_ten_patients_is_refused(clinic, last):
    clinic.publish(patients(0, 600))

    with pytest.raises(PolicyError, match="too few patients changed"):
        clinic.publish(patients(0, last))
    assert len(clinic.registry.events) == 1
    assert not clinic.under_way()


def test_version_with_ten_more_patients_follows(clinic):
    first = clinic.publish(patients(0, 600))

    second = clinic.publish(patients(0, 610))

    assert [event.version for event in clinic.registry.events] == [first.version, second.version]


def test_leaving_and_joining_patients_both_count(clinic):
    clinic.publish(patients(0, 600))

    clinic.publish(patients(5, 605))

    assert len(clinic.registry.events) == 2


def test_version_is_compared_with_all_earlier_ones(clinic):
    clinic.publish(patients(0, 600))
    clinic.publish(patients(0, 630))

    with pytest.raises(PolicyError, match="too few patients changed"):
        clinic.publish(patients(1, 600))


def test_written_override_is_recorded(clinic):
    clinic.publish(patients(0, 600))

    published = clinic.publish(patients(0, 601), few_changes_reason="the ethics committee asked for it, letter 7")

    record = msgspec.json.decode(clinic.home.change_record(published.version).read_bytes())
    assert record["override"] == "the ethics committee asked for it, letter 7"


def test_withdrawn_version_is_still_compared_with(clinic):
    first = clinic.publish(patients(0, 600))
    clinic.ports.broker_store.revoke_version(first.version)

    with pytest.raises(PolicyError, match="too few patients changed"):
        clinic.publish(patients(1, 600))


def test_patients_who_opted_out_are_not_in_the_next_version(clinic):
    opt_out(clinic, *range(20))

    published = clinic.publish(patients(0, 600))

    assert published.opted_out == 20
    ages = clinic.read(published, "age")["age"]
    np.testing.assert_array_equal(ages, 30 + np.arange(20, 600) * 7 % 50)


def test_single_opt_out_waits_for_enough_changes(clinic):
    clinic.publish(patients(0, 600))
    opt_out(clinic, 17)

    with pytest.raises(PolicyError, match="too few patients changed"):
        clinic.publish(patients(0, 600))
    clinic.publish(patients(0, 609))

    assert len(clinic.registry.events) == 2


def test_opt_outs_need_a_column_that_tells_whose_rows_they_are(clinic):
    opt_out(clinic, 17)
    without_id = DataDictionary(title="Clinic", description="", columns=DICTIONARY.columns[1:])
    table = pa.Table.from_batches(patients(0, 600).drop_columns("patient").to_batches())

    with pytest.raises(InputError, match="no column tells"):
        clinic.publish(table, dictionary=without_id)
    assert clinic.registry.events == []
