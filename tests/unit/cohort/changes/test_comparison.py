"""What counts as a changed patient, and what only looks like one."""

from __future__ import annotations

import msgspec
import pytest

from heartify.cohort.changes.comparison import count_changes


def altered(patients, count):
    return [(name, chol + 1, sex) for name, chol, sex in patients[:count]] + patients[count:]


def test_equal_versions_differ_in_nobody(make, write):
    changes = count_changes(write(make.cohort(0, 50)), write(list(reversed(make.cohort(0, 50)))))

    assert (changes.added, changes.removed, changes.altered, changes.provable) == (0, 0, 0, 0)
    assert changes.comparable


def test_added_removed_and_altered_patients_are_counted(make, write):
    later = altered(make.cohort(3, 50), 4) + make.cohort(50, 56)

    changes = count_changes(write(make.cohort(0, 50)), write(later))

    assert (changes.added, changes.removed, changes.altered, changes.common) == (6, 3, 4, 47)
    assert changes.provable == 13


def test_a_patient_in_several_rows_is_one_patient(make, write):
    repeated = make.cohort(0, 20) + [("P00003", 1.0, "f")] * 15

    changes = count_changes(write(make.cohort(0, 20)), write(repeated))

    assert (changes.added, changes.removed, changes.altered, changes.provable) == (0, 0, 1, 1)
    assert changes.rows_added == 15


def test_the_order_of_a_patients_rows_is_no_change(make, write):
    one = [("a", 1.0, "f"), ("a", 2.0, "m"), ("b", 2.0, "f")]

    changes = count_changes(write(one), write(list(reversed(one))))

    assert (changes.altered, changes.provable) == (0, 0)


def test_an_id_in_another_spelling_is_the_same_patient(make, write):
    later = [(f" {name.lower()} ", chol, sex) for name, chol, sex in make.cohort(0, 20)]

    assert count_changes(write(make.cohort(0, 20)), write(later)).provable == 0


def test_rows_without_an_id_never_look_like_many_patients(make, write):
    nobody = [(None, float(i), "f") for i in range(30)]

    changes = count_changes(write(make.cohort(0, 20)), write(make.cohort(0, 20) + nobody))

    assert changes.provable == 1


def test_ids_that_are_drawn_anew_prove_nothing_beyond_the_rows(make, write):
    renamed = [(f"X{name}", chol, sex) for name, chol, sex in make.cohort(0, 50)] + make.cohort(50, 51)

    changes = count_changes(write(make.cohort(0, 50)), write(renamed))

    assert (changes.added, changes.removed) == (51, 50)
    assert changes.provable == 1


def test_a_correction_of_most_rows_hides_nobody(make, write):
    later = altered(make.cohort(0, 50), 26) + make.cohort(50, 51)

    changes = count_changes(write(make.cohort(0, 50)), write(later))

    assert (changes.altered, changes.provable) == (26, 1)


def test_without_ids_the_larger_of_rows_added_and_removed_counts(make, write):
    later = altered(make.cohort(0, 50), 4) + make.cohort(50, 53)

    changes = count_changes(write(make.cohort(0, 50), make.without_ids), write(later, make.without_ids))

    assert (changes.rows_added, changes.rows_removed, changes.provable) == (7, 4, 7)
    assert not changes.by_person


def test_without_ids_equal_rows_are_counted_with_their_repetitions(make, write):
    row = ("a", 1.0, "f")

    changes = count_changes(write([row] * 5, make.without_ids), write([row] * 17, make.without_ids))

    assert (changes.rows_added, changes.rows_removed, changes.provable) == (12, 0, 12)


def test_with_another_column_patients_still_count_but_contents_do_not(make, write):
    wider = make.dictionary(make.id_column, make.chol, make.sex, make.age)
    later = [(*patient, 50) for patient in make.cohort(0, 62)]

    changes = count_changes(write(make.cohort(0, 50)), write(later, wider))

    assert (changes.same_columns, changes.altered, changes.provable) == (False, 0, 12)


def test_with_another_column_and_hardly_a_common_patient_nothing_is_proved(make, write):
    wider = make.dictionary(make.id_column, make.chol, make.sex, make.age)
    later = [(f"X{name}", chol, sex, 50) for name, chol, sex in make.cohort(0, 51)]

    changes = count_changes(write(make.cohort(0, 50)), write(later, wider))

    assert (changes.added, changes.provable) == (51, 0)


def test_another_unit_without_ids_is_not_comparable(make, write):
    other = make.dictionary(msgspec.structs.replace(make.chol, unit="mmol/L"), make.sex)

    changes = count_changes(write(make.cohort(0, 50), make.without_ids), write(make.cohort(0, 90), other))

    assert not changes.comparable
    assert changes.provable == 0


@pytest.mark.parametrize("earlier_has_ids", [True, False])
def test_where_one_version_has_ids_and_the_other_none_rows_are_compared(make, write, earlier_has_ids):
    forms = (make.with_ids, make.without_ids) if earlier_has_ids else (make.without_ids, make.with_ids)

    changes = count_changes(write(make.cohort(0, 50), forms[0]), write(make.cohort(0, 61), forms[1]))

    assert (changes.by_person, changes.provable) == (False, 11)
