"""Groups 2 and 3: platforms with published weaknesses, advisories, evaluation data numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.dcap.collateral import parse_collateral
from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.errors import AttestationError

HARDENING = frozenset({"UpToDate", "SWHardeningNeeded"})


def with_intel(case, **changes):
    return replace(case.policy, intel=replace(case.policy.intel, **changes))


@pytest.mark.parametrize(
    ("svn", "pce_svn", "status"),
    [
        (4, 13, "SWHardeningNeeded"),
        (3, 11, "ConfigurationAndSWHardeningNeeded"),
        (2, 10, "OutOfDate"),
        (1, 5, "Revoked"),
    ],
)
def test_platform_that_is_not_up_to_date_is_refused(case_at, kind, svn, pce_svn, status):
    case = case_at(svn, pce_svn)

    with pytest.raises(AttestationError, match=status):
        case.verify(kind=kind)


def test_platform_below_every_tcb_level_is_refused(case_at, kind):
    with pytest.raises(AttestationError, match="no trust root"):
        case_at(0, 0).verify(kind=kind)


def test_revoked_platform_is_refused_whatever_the_policy_accepts(case_at, kind):
    case = case_at(1, 5)
    policy = with_intel(
        case,
        accepted_tcb_statuses=frozenset({"UpToDate", "OutOfDate", "OutOfDateConfigurationNeeded", "SWHardeningNeeded"}),
        accepted_advisories=frozenset({"INTEL-SA-00219"}),
        platform_grace_days=36500,
    )

    with pytest.raises(AttestationError, match="Revoked"):
        case.verify(kind=kind, policy=policy)


def test_accepted_status_needs_its_advisories_accepted_by_name(case_at, kind):
    case = case_at(4, 13)

    with pytest.raises(AttestationError, match="INTEL-SA-00615"):
        case.verify(kind=kind, policy=with_intel(case, accepted_tcb_statuses=HARDENING))
    policy = with_intel(case, accepted_tcb_statuses=HARDENING, accepted_advisories=frozenset({"INTEL-SA-00615"}))
    result = case.verify(kind=kind, policy=policy)

    assert (result.status, result.advisories) == ("SWHardeningNeeded", ("INTEL-SA-00615",))


def test_rejected_advisory_wins_over_accepted(case_at, kind):
    case = case_at(4, 13)
    both = frozenset({"INTEL-SA-00615"})
    policy = with_intel(case, accepted_tcb_statuses=HARDENING, accepted_advisories=both)
    assert case.verify(kind=kind, policy=policy).advisories == ("INTEL-SA-00615",)

    with pytest.raises(AttestationError, match="INTEL-SA-00615"):
        case.verify(
            kind=kind,
            policy=with_intel(
                case, accepted_tcb_statuses=HARDENING, accepted_advisories=both, rejected_advisories=both
            ),
        )


def test_out_of_date_is_accepted_only_within_the_grace_period(case_at, kind):
    case = case_at(2, 10)
    accepted = {
        "accepted_tcb_statuses": frozenset({"UpToDate", "OutOfDate"}),
        "accepted_advisories": frozenset({"INTEL-SA-00657", "INTEL-SA-00767"}),
    }

    with pytest.raises(AttestationError, match="grace"):
        case.verify(kind=kind, policy=with_intel(case, **accepted, platform_grace_days=30))
    result = case.verify(kind=kind, policy=with_intel(case, **accepted, platform_grace_days=5 * 365))

    assert result.status == "OutOfDate"


def test_quoting_enclave_out_of_date_is_accepted_only_within_its_own_grace_period(case, kind):
    isv_svn = 258
    evidence = case.evidence(kind=kind, quote=case.quote_of_quoting_enclave(kind, isv_svn, 6))
    accepted = {
        "accepted_tcb_statuses": frozenset({"UpToDate", "OutOfDate"}),
        "accepted_advisories": frozenset({"INTEL-SA-00615"}),
        "platform_grace_days": 36500,
    }

    with pytest.raises(AttestationError, match="OutOfDate"):
        case.verify(evidence)
    with pytest.raises(AttestationError, match="grace"):
        case.verify(evidence, policy=with_intel(case, **accepted, qe_grace_days=30))
    unread = with_intel(case, **{**accepted, "accepted_advisories": frozenset()}, qe_grace_days=36500)
    with pytest.raises(AttestationError, match="INTEL-SA-00615"):
        case.verify(evidence, policy=unread)
    result = case.verify(evidence, policy=with_intel(case, **accepted, qe_grace_days=36500))

    assert result.advisories == ("INTEL-SA-00615",)


def test_evaluation_data_number_below_the_floor_is_refused(case, kind):
    def evidence(number):
        issue = SimulatedIssue(now_utc_seconds=case.now, evaluation_data_number=number)
        return case.evidence(kind=kind, collateral=case.platform.collateral_of_issue(issue, tdx=kind == "tdx"))

    assert case.verify(evidence(17)).status == "UpToDate"

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(evidence(16))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_floor_of_evaluation_data_numbers_holds_for_each_of_the_two(case, kind, member):
    older = case.signed_again(
        kind,
        member,
        lambda text: text.replace('"tcbEvaluationDataNumber":18', '"tcbEvaluationDataNumber":16'),
    )
    assert parse_collateral(older).fmspc == case.platform.identity.fmspc

    with pytest.raises(AttestationError):
        case.verify(case.evidence(kind=kind, collateral=older))


def test_sgx_type_that_the_policy_does_not_list_is_refused(case_at, kind):
    case = case_at(5, 13, sgx_type=1)
    assert case.verify(kind=kind).status == "UpToDate"

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(kind=kind, policy=with_intel(case, accepted_sgx_types=frozenset({0, 2})))


def test_tdx_module_that_is_out_of_date_is_refused(case):
    svn = bytes((2, 1, 5)).ljust(16, b"\0")

    with pytest.raises(AttestationError, match="OutOfDate"):
        case.verify(case.evidence(kind="tdx", report=case.td_report(tee_tcb_svn=svn)))


def test_tdx_module_of_an_unknown_version_is_refused(case):
    svn = bytes((5, 9, 5)).ljust(16, b"\0")

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind="tdx", report=case.td_report(tee_tcb_svn=svn)))
