"""Many enclaves at once over HTTP: every limit holds, every release has its receipt, and the audit log is unbroken."""

from __future__ import annotations

import collections
import concurrent.futures
import secrets

import msgspec
import pytest

from heartify.broker.audit.entry import check_follows
from heartify.broker.rate_limits import RateLimits
from heartify.broker.service import build_broker_service
from heartify.errors import ServiceError
from heartify.party.http_client import get_json, post_json
from heartify.party.http_service import RunningService
from heartify.protocol.canonical import to_bytes
from heartify.protocol.eip712 import address, bytes32
from heartify.protocol.key_release import Challenge, Release, parse_column_keys, release_info
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.signing import verify_signer

DEALS = 40
ENCLAVES_A_DEAL = 3
LIMIT = 2


def ask(service, world, names, deal):
    """One enclave's whole conversation; return its keys and signed receipt, or None when it was refused."""
    deal_id = deal.deal_id(names.DOMAIN)
    mine = names.World(**{**world.__dict__, "enclave": names.Enclave(world.platform)})
    challenge = msgspec.convert(post_json(f"{service.url}/v1/challenges", {"deal": deal_id}), Challenge)
    try:
        answer = post_json(f"{service.url}/v1/releases", mine.request(challenge, deal))
    except ServiceError as exc:
        if "released 2 times already" not in exc.message:
            raise
        return None
    release = msgspec.convert(answer, Release)
    info = release_info(
        names.DOMAIN, deal_id, world.version, world.broker.address, challenge.nonce, mine.enclave.address
    )
    keys = parse_column_keys(mine.enclave.sealing.open(to_bytes(release.sealed_keys), info))
    receipt = KeyReceipt(
        deal=bytes32(deal_id), datasetVersion=bytes32(world.version), enclave=address(mine.enclave.address)
    )
    verify_signer(receipt.digest(names.DOMAIN), release.key_receipt_signature, world.broker.address, "the receipt")
    return keys, mine.enclave.address, release.key_receipt_signature


@pytest.fixture
def service(world):
    with RunningService(build_broker_service(world.broker, RateLimits("100000/minute", "1000/minute"))) as running:
        yield running


def test_limits_hold_for_every_deal_whoever_comes_when(world, service, names):
    deals = [world.open_deal(poolPrice=100 + number) for number in range(DEALS)]
    work = [deal for deal in deals for _ in range(ENCLAVES_A_DEAL)]
    secrets.SystemRandom().shuffle(work)

    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda deal: (deal, ask(service, world, names, deal)), work))

    served = collections.Counter(deal.deal_id(names.DOMAIN) for deal, answer in answers if answer)
    assert served == {deal.deal_id(names.DOMAIN): LIMIT for deal in deals}
    assert len({tuple(sorted(answer[0].items())) for _, answer in answers if answer}) == 1
    for deal in deals:
        deal_id = deal.deal_id(names.DOMAIN)
        given = {answer[1:] for asked, answer in answers if answer and asked is deal}
        kept = get_json(f"{service.url}/v1/receipts/{deal_id}")
        assert {(item["enclave"], item["key_receipt_signature"]) for item in kept} == given


def test_audit_log_is_unbroken_after_a_storm(world, service, names):
    deals = [world.open_deal(poolPrice=100 + number) for number in range(DEALS)]
    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        list(threads.map(lambda deal: ask(service, world, names, deal), deals))

    previous = None
    log = world.entries()
    for entry in log:
        check_follows(entry, previous)
        previous = entry
    assert sum(entry.event == "keys-released" for entry in log) == DEALS
