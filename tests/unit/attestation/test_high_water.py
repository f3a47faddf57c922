"""High-water marks: collateral may go forward and never back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.high_water import CollateralHighWater
from heartify.attestation.result import CollateralMark
from heartify.errors import AttestationError

EMPTY = CollateralHighWater({})
SCOPES = ("root-crl", "pck-crl", "tcb-info", "qe-identity")


def number_of(result, scope):
    (number,) = [mark.number for mark in result.marks if mark.scope.split("/")[0] == scope]
    return number


def test_marks_follow_verified_collateral_forward(case):
    first = case.verify()
    later = case.now + 9 * 86400
    second = case.verify(case.evidence(collateral=case.platform.collateral(later)), now=later)

    marks = EMPTY.advance(first.marks).advance(second.marks)

    assert number_of(second, "pck-crl") == number_of(first, "pck-crl") + 9
    assert number_of(second, "pck-crl") in marks.marks.values()


@pytest.mark.parametrize("scope", SCOPES)
def test_number_that_goes_back_is_refused(case, scope):
    seen = case.verify().marks
    marks = EMPTY.advance(seen)

    lower = [replace(mark, number=mark.number - (mark.scope.split("/")[0] == scope)) for mark in seen]
    with pytest.raises(AttestationError, match=f"rolled back: {scope}"):
        marks.advance(lower)


def test_numbers_of_another_root_are_counted_apart(case):
    seen = case.verify().marks
    others = [CollateralMark(mark.scope + "-of-another-root", 0) for mark in seen]

    marks = EMPTY.advance(seen).advance(others)

    assert len(marks.marks) == 8


def test_marks_survive_storing_and_loading(case):
    marks = EMPTY.advance(case.verify().marks)

    assert CollateralHighWater(dict(marks.marks)) == marks


@pytest.mark.parametrize("value", [-1, "1", None, True, 1.5])
def test_damaged_marks_are_refused(value):
    with pytest.raises(AttestationError, match="whole number"):
        CollateralHighWater({"pck-crl/x": value})
