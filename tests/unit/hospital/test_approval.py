"""Approval: only a measurement that this machine computes, or that the steward names, is approved."""

from __future__ import annotations

import msgspec
import pytest

from heartify.broker.audit.log import head
from heartify.errors import PolicyError
from heartify.hospital.approval import approve_release

OTHER = "0x" + "66" * 32


def approve(case, release, *, measured: bytes, confirmed: str | None = None):
    approve_release(
        case.broker_store.approvals,
        release,
        measure=lambda: {measured},
        confirmed=frozenset({confirmed} if confirmed else ()),
    )


def test_release_whose_measurement_is_computed_here_is_approved(case):
    approve(case, case.app_release, measured=case.measurement)

    assert case.broker_store.approvals.all() == (case.app_release,)


def test_release_whose_measurement_differs_is_refused(case):
    with pytest.raises(PolicyError, match="does not compute"):
        approve(case, case.app_release, measured=b"\x66" * 32)
    assert case.broker_store.approvals.all() == ()


def test_measurement_confirmed_by_name_is_approved_without_measuring(case):
    def measure() -> bytes:
        raise AssertionError("measured although the steward named the measurement")

    approve_release(
        case.broker_store.approvals,
        case.app_release,
        measure=measure,
        confirmed={"0x" + case.measurement.hex()},
    )

    assert case.broker_store.approvals.all() == (case.app_release,)


def test_confirmation_of_another_measurement_is_refused(case):
    with pytest.raises(PolicyError, match="does not compute"):
        approve(case, case.app_release, measured=b"\x77" * 32, confirmed=OTHER)
    assert case.broker_store.approvals.all() == ()


def test_release_with_one_measurement_computed_and_the_other_confirmed_is_approved(case):
    stated = {"simulated-sgx": ("0x" + case.measurement.hex(),), "sgx": (OTHER,)}
    release = msgspec.structs.replace(case.app_release, measurements=stated)

    approve(case, release, measured=case.measurement, confirmed=OTHER)

    assert case.broker_store.approvals.all() == (release,)


def test_hospital_that_approved_a_release_already_decides_nothing_again(case):
    case.hospital.approve(lambda: {case.measurement})
    with case.broker_store.engine.connect() as connection:
        before = head(connection)

    case.hospital.approve(lambda: {case.measurement})

    with case.broker_store.engine.connect() as connection:
        assert head(connection) == before


def test_release_with_a_second_unknown_measurement_is_refused(case):
    stated = {"simulated-sgx": ("0x" + case.measurement.hex(), OTHER)}
    release = msgspec.structs.replace(case.app_release, measurements=stated)

    with pytest.raises(PolicyError, match="does not compute"):
        approve(case, release, measured=case.measurement)
    assert case.broker_store.approvals.all() == ()


def test_release_without_any_measurement_is_refused(case):
    release = msgspec.structs.replace(case.app_release, measurements={})

    with pytest.raises(PolicyError, match="does not compute"):
        approve(case, release, measured=case.measurement)


def test_hospital_approves_the_release_that_its_deployment_names(case):
    release = case.hospital.approve(lambda: {case.measurement})

    assert release == case.app_release
    assert case.broker_store.approvals.find(case.app_release.release_id()) == case.app_release
