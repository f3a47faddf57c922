"""Freshness, falling back, never going back, one fetch for many, and restraint."""

from __future__ import annotations

import itertools
import json
import logging
import threading

import pytest

from heartify.attestation.collateral_service.collateral_age import age_of_collateral
from heartify.attestation.collateral_service.collateral_cache import KeptCollateral, MemoryCollateralCache
from heartify.attestation.collateral_service.collateral_keeper import CollateralKeeper
from heartify.attestation.collateral_service.fetch_restraint import FetchRestraint
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.needs import DcapNeed
from heartify.attestation.collateral_service.pccs_client import PccsClient
from heartify.attestation.collateral_service.signatures import (
    INTEL_ROOT_KEY_DIGEST,
    check_dcap_signatures,
    root_key_digest,
    root_keys_of,
)
from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import AttestationError, ServiceError
from heartify.protocol.evidence import Evidence

from .conftest import BASE, NOW, FakeService

NEED = DcapNeed("sgx", "50494D000000", "platform")
HOUR = 3600
DAY = 86400
REQUESTS_A_FETCH = 4


class Kept:
    """A source on a fake service, with the cache laid open."""

    def __init__(self, service: FakeService, **changes) -> None:
        self.service = service
        self.cache = MemoryCollateralCache()
        self.keys = frozenset({root_key_digest(service.platform.certificates.root)})
        settings = {"pccs": PccsClient(BASE, service), "root_keys": self.keys, "refresh_seconds": 6 * HOUR}
        self.source = FetchedCollateral(self.cache, **{**settings, **changes})

    def reading(self, now=NOW, need=NEED):
        return self.source.reading_for(need, now)

    @property
    def fetches(self) -> float:
        return len(self.service.urls) / REQUESTS_A_FETCH


@pytest.fixture
def kept(service):
    return Kept(service)


def number_of(text: str) -> int:
    return json.loads(json.loads(text)["tcb_info"])["tcbEvaluationDataNumber"]


def test_the_source_ignores_what_the_host_sent(kept, platform, quote):
    evidence = Evidence("simulated-sgx", quote.hex(), "chosen by the host")

    text = kept.source.collateral_for(evidence, NOW)

    assert json.loads(text)["tcb_info_issuer_chain"] == json.loads(platform.collateral(NOW))["tcb_info_issuer_chain"]


def test_fresh_collateral_is_not_fetched_again(kept):
    first = kept.reading()
    later = kept.reading(NOW + 6 * HOUR - 1)

    assert kept.fetches == 1
    assert later.text == first.text
    assert (later.age_seconds, later.problem) == (6 * HOUR - 1, None)


def test_it_is_fetched_again_after_the_refresh_interval(kept):
    kept.reading()
    kept.service.issue_at = NOW + 6 * HOUR

    later = kept.reading(NOW + 6 * HOUR)

    assert kept.fetches == 2
    assert (later.age_seconds, later.fetched_at) == (0, NOW + 6 * HOUR)


def test_it_is_fetched_again_after_its_next_update_although_the_interval_is_longer(service):
    kept = Kept(service, refresh_seconds=60 * DAY)
    end = kept.reading().next_update
    service.issue_at = end

    kept.reading(end - 1)
    later = kept.reading(end)

    assert kept.fetches == 2
    assert later.next_update > end


def test_a_clock_that_was_set_back_does_not_make_collateral_fresh(kept):
    kept.reading()

    kept.reading(NOW - 1)

    assert kept.fetches == 2


def test_a_service_that_is_away_leaves_what_is_valid_and_its_age_is_said(kept, caplog):
    kept.reading()
    kept.service.away = True

    with caplog.at_level(logging.WARNING, "heartify.collateral"):
        later = kept.reading(NOW + DAY)

    assert (later.age_seconds, later.problem) == (DAY, "the service is away")
    assert f"is {DAY} seconds old and was not refreshed" in caplog.text


def test_a_service_that_is_away_until_the_end_leaves_nothing(kept):
    end = kept.reading().next_update
    kept.service.away = True

    with pytest.raises(ServiceError, match="no collateral for sgx/50494D000000/platform: the service is away"):
        kept.reading(end)


def test_a_service_that_never_answered_leaves_nothing(kept):
    kept.service.away = True

    with pytest.raises(ServiceError, match="the service is away"):
        kept.reading()


@pytest.mark.parametrize("part", ["lists", "evaluation number", "issue date"])
def test_older_collateral_is_refused_and_the_newer_kept(kept, part):
    first = kept.reading()
    if part == "evaluation number":
        kept.service.number, kept.service.issue_at = 17, NOW + 7 * HOUR
    else:
        kept.service.issue_at = NOW - (DAY if part == "lists" else 60)

    later = kept.reading(NOW + 7 * HOUR)

    assert later.text == first.text
    assert "collateral went back" in later.problem
    assert kept.cache.kept(NEED.name).content == first.text


def test_newer_collateral_replaces(kept):
    kept.reading()
    kept.service.number, kept.service.issue_at = 19, NOW + 7 * HOUR

    assert number_of(kept.reading(NOW + 7 * HOUR).text) == 19


def test_after_the_end_older_collateral_is_still_refused(kept):
    end = kept.reading().next_update
    kept.service.number, kept.service.issue_at = 17, end

    with pytest.raises(ServiceError, match="collateral went back: TCB info number 17"):
        kept.reading(end)


def test_collateral_that_has_run_out_is_not_kept(kept):
    kept.service.issue_at = NOW - 40 * DAY

    with pytest.raises(ServiceError, match="has run out already"):
        kept.reading()
    assert kept.cache.all_kept() == ()


def test_collateral_under_an_unlisted_root_is_neither_kept_nor_used(service):
    kept = Kept(service, root_keys=root_keys_of(PRODUCTION_POLICY))

    with pytest.raises(ServiceError, match="under a root that the policy doesn't list"):
        kept.reading()
    assert kept.cache.all_kept() == ()


def test_what_is_kept_under_another_root_has_no_say(kept):
    other = FakeService(SimulatedPlatform.create(NOW))
    other.number = 99
    kept.cache.replace(KeptCollateral(NEED.name, other.issued("sgx"), NOW), lambda _: None)

    assert number_of(kept.reading(NOW + 1).text) == 18


def test_a_damaged_cache_has_no_say(kept):
    kept.cache.replace(KeptCollateral(NEED.name, "{}", NOW), lambda _: None)

    assert number_of(kept.reading(NOW + 1).text) == 18


def test_many_that_ask_at_once_fetch_once(service):
    inside, leave = threading.Event(), threading.Event()

    def slow(need):
        inside.set()
        leave.wait(10)
        return PccsClient(BASE, service).collateral(need)

    keeper = CollateralKeeper(slow, MemoryCollateralCache(), root_keys=None)
    readings = []
    threads = [threading.Thread(target=lambda: readings.append(keeper.reading(NEED, NOW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    leave.set()
    for thread in threads:
        thread.join(10)

    assert len(service.urls) == REQUESTS_A_FETCH
    assert len({reading.text for reading in readings}) == 1
    assert len(readings) == 8


def test_a_failed_fetch_is_not_repeated_for_every_release(kept):
    kept.service.away = True
    for _ in range(20):
        with pytest.raises(ServiceError):
            kept.reading(NOW + 1)

    assert len(kept.service.urls) == 1


def test_the_wait_after_failures_doubles_up_to_a_quarter_of_an_hour(kept):
    kept.service.away = True
    asked_at = []
    for second in range(0, 2 * HOUR, 5):
        before = len(kept.service.urls)
        with pytest.raises(ServiceError):
            kept.reading(NOW + second)
        if len(kept.service.urls) > before:
            asked_at.append(second)

    assert [later - earlier for earlier, later in itertools.pairwise(asked_at)][:8] == [
        *(15, 30, 60, 120, 240, 480, 900, 900)
    ]


def test_a_refusal_while_waiting_says_when_the_next_try_is(kept):
    kept.service.away = True
    with pytest.raises(ServiceError):
        kept.reading()

    with pytest.raises(ServiceError, match="asked 5 seconds ago") as caught:
        kept.reading(NOW + 5)

    assert caught.value.hint == "the next try is in 10 seconds"


def test_a_success_ends_the_waiting(kept):
    kept.service.away = True
    with pytest.raises(ServiceError):
        kept.reading()
    kept.service.away = False

    assert kept.reading(NOW + 15).problem is None
    kept.service.issue_at = NOW + 7 * HOUR
    assert kept.reading(NOW + 7 * HOUR).problem is None


def test_made_up_platforms_can_not_make_a_flood(service):
    kept = Kept(service, restraint=FetchRestraint(fetches_per_minute=3))
    for number in range(10):
        with pytest.raises(ServiceError):
            kept.reading(need=DcapNeed("sgx", f"{number:012X}", "platform"))

    assert len([url for url in service.urls if "/tcb?" in url]) == 3
    with pytest.raises(ServiceError, match="too many platforms"):
        kept.reading(NOW + 59)
    assert kept.reading(NOW + 60).problem is None


def test_tee_kinds_without_a_service_are_refused(service):
    kept = Kept(service, pccs=None)

    with pytest.raises(ServiceError, match="no service for SGX and TDX is configured"):
        kept.reading()


@pytest.mark.parametrize(
    "member", ["root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature", "tcb_info", "qe_identity"]
)
def test_a_part_that_its_issuer_did_not_sign_is_refused(platform, member):
    members = json.loads(platform.collateral(NOW))
    if member in {"tcb_info", "qe_identity"}:
        members[member] = members[member].replace('"tcbEvaluationDataNumber":18', '"tcbEvaluationDataNumber":99')
    else:
        other = SimulatedPlatform.create(NOW)
        members[member] = json.loads(other.collateral(NOW))[member]

    with pytest.raises(AttestationError, match="is not signed by its issuer"):
        check_dcap_signatures(json.dumps(members), None)


@pytest.mark.parametrize("member", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_a_chain_of_another_root_is_refused(platform, member):
    members = json.loads(platform.collateral(NOW))
    members[member] = json.loads(SimulatedPlatform.create(NOW).collateral(NOW))[member]

    with pytest.raises(AttestationError, match="end at different roots"):
        check_dcap_signatures(json.dumps(members), None)


def test_a_certificate_that_the_root_did_not_sign_is_refused(platform):
    members = json.loads(platform.collateral(NOW))
    foreign = json.loads(SimulatedPlatform.create(NOW).collateral(NOW))["tcb_info_issuer_chain"]
    end = "-----END CERTIFICATE-----\n"
    members["tcb_info_issuer_chain"] = (
        foreign.split(end)[0] + end + members["tcb_info_issuer_chain"].split(end)[1] + end
    )

    with pytest.raises(AttestationError, match="not signed by the one above it"):
        check_dcap_signatures(json.dumps(members), None)


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"pck_crl_issuer_chain": 1}'])
def test_what_is_no_collateral_has_neither_age_nor_signatures(text):
    with pytest.raises(AttestationError):
        check_dcap_signatures(text, None)
    with pytest.raises(AttestationError):
        age_of_collateral(text)


def test_the_roots_of_a_policy_are_known_by_their_keys(platform):
    simulated = root_keys_of(unsafe_simulation_policy(platform.root_der))

    assert simulated == {root_key_digest(platform.certificates.root)}
    assert INTEL_ROOT_KEY_DIGEST in root_keys_of(PRODUCTION_POLICY)
    assert len(root_keys_of(PRODUCTION_POLICY)) == len(PRODUCTION_POLICY.roots)
