"""The rule of k patients: against every earlier version, and overridden only in writing."""

from __future__ import annotations

import msgspec
import pytest

from heartify.cohort.changes.change_rule import ChangeRecord, check_changes
from heartify.cohort.changes.ledger import load_ledgers
from heartify.cohort.changes.ledger_writer import LedgerWriter
from heartify.errors import InputError, PolicyError
from heartify.protocol.canonical import encode_canonical, parse_canonical

REASON = "the ethics board agreed on 3 November"
UNKNOWN = "0x" + "ee" * 32


def test_a_first_version_needs_no_change(make, write):
    record = check_changes([], write(make.cohort(0, 5)))

    assert record == ChangeRecord(required=10, compared=())


def test_ten_changed_patients_are_enough(make, write):
    first = write(make.cohort(0, 50))

    record = check_changes([first], write(make.cohort(5, 55)))

    (compared,) = record.compared
    assert (compared.version, compared.provable, compared.added, compared.removed) == (first.version, 10, 5, 5)
    assert record.override is None


def test_nine_changed_patients_are_not(make, write):
    first = write(make.cohort(0, 50))

    with pytest.raises(PolicyError, match=f"too few patients changed since version {first.version}: 9 .* at least 10"):
        check_changes([first], write(make.cohort(4, 55)))


def test_the_number_may_be_another(make, write):
    first, second = write(make.cohort(0, 50)), write(make.cohort(0, 53))

    assert check_changes([first], second, k=3).required == 3
    with pytest.raises(PolicyError):
        check_changes([first], second, k=4)


def test_every_earlier_version_counts_not_only_the_last(make, write):
    first, second = write(make.cohort(0, 50)), write(make.cohort(0, 70))

    with pytest.raises(PolicyError, match=first.version):
        check_changes([first, second], write(make.cohort(0, 51)))
    assert len(check_changes([first, second], write(make.cohort(0, 60))).compared) == 2


def test_ledgers_found_in_the_folder_are_those_to_compare_with(make, write, tmp_path, key):
    write(make.cohort(0, 50))
    writer = LedgerWriter(tmp_path / "ledgers", key, make.with_ids)
    for batch in make.table(make.cohort(0, 51), make.with_ids).to_batches():
        writer.add(batch)

    with pytest.raises(PolicyError, match="1 patients provably changed"):
        check_changes(load_ledgers(tmp_path / "ledgers", key), writer.seal())


def test_a_version_is_not_compared_with_itself(make, write):
    ledger = write(make.cohort(0, 50))

    assert check_changes([ledger], ledger, published=[ledger.version]).compared == ()


def test_a_published_version_without_a_ledger_cannot_be_compared(make, write):
    new = write(make.cohort(0, 50))

    with pytest.raises(PolicyError, match="can't be compared"):
        check_changes([], new, published=[UNKNOWN])
    assert check_changes([], new, published=[UNKNOWN], override=REASON).override == REASON


def test_a_written_override_is_recorded_with_what_it_overrode(make, write):
    first = write(make.cohort(0, 50))

    record = check_changes([first], write(make.cohort(0, 51)), override=f"  {REASON} ")

    assert record.override == REASON
    assert [entry.provable for entry in record.compared] == [1]
    assert parse_canonical(encode_canonical(record), ChangeRecord) == record


def test_an_override_that_is_not_needed_is_not_recorded(make, write):
    first = write(make.cohort(0, 50))

    assert check_changes([first], write(make.cohort(0, 90)), override=REASON).override is None


@pytest.mark.parametrize("reason", ["", "         ", "because", "x" * 1001])
def test_an_override_without_a_reason_is_refused(make, write, reason):
    with pytest.raises(InputError, match="reason"):
        check_changes([], write(make.cohort(0, 5)), override=reason)


def test_rows_without_ids_of_another_form_need_an_override(make, write):
    first = write(make.cohort(0, 50), make.without_ids)
    other = make.dictionary(msgspec.structs.replace(make.chol, unit="mmol/L"), make.sex)

    with pytest.raises(PolicyError, match="can't be compared"):
        check_changes([first], write(make.cohort(0, 90), other))
