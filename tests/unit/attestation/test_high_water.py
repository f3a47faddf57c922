"""High-water marks: collateral may go forward and never back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.high_water import CollateralHighWater
from heartify.errors import AttestationError

EMPTY = CollateralHighWater({})
NUMBERS = ("root_ca_crl_number", "pck_crl_number", "tcb_evaluation_data_number", "qe_evaluation_data_number")


def test_marks_follow_verified_collateral_forward(case):
    first = case.verify().collateral_numbers
    later = case.now + 9 * 86400
    second = case.verify(case.evidence(collateral=case.platform.collateral(later)), now=later).collateral_numbers

    marks = EMPTY.advance(first).advance(second)

    assert second.pck_crl_number == first.pck_crl_number + 9
    assert second.pck_crl_number in marks.marks.values()


@pytest.mark.parametrize("member", NUMBERS)
def test_number_that_goes_back_is_refused(case, member):
    numbers = case.verify().collateral_numbers
    marks = EMPTY.advance(numbers)

    with pytest.raises(AttestationError, match="rolled back"):
        marks.advance(replace(numbers, **{member: getattr(numbers, member) - 1}))


def test_numbers_of_another_root_are_counted_apart(case):
    numbers = case.verify().collateral_numbers

    marks = EMPTY.advance(numbers).advance(replace(numbers, root_key_id=b"other", pck_crl_number=0))

    assert len(marks.marks) == 8


def test_marks_survive_storing_and_loading(case):
    marks = EMPTY.advance(case.verify().collateral_numbers)

    assert CollateralHighWater(dict(marks.marks)) == marks


@pytest.mark.parametrize("value", [-1, "1", None, True, 1.5])
def test_damaged_marks_are_refused(value):
    with pytest.raises(AttestationError, match="whole number"):
        CollateralHighWater({"pck-crl/x": value})
