"""The broker over HTTP: status codes, no stack traces, bounds, and logs without keys or evidence."""

from __future__ import annotations

import logging

import httpx
import msgspec
import pytest

from heartify.broker.rate_limits import RateLimits
from heartify.broker.service import build_broker_service
from heartify.errors import ServiceError, UnreachableError
from heartify.party.http_client import get_json, post_json
from heartify.party.http_service import MAX_BODY_BYTES, RunningService, bind
from heartify.protocol.canonical import to_bytes
from heartify.protocol.key_release import Challenge, Release, parse_column_keys, release_info


@pytest.fixture
def service(world):
    with RunningService(build_broker_service(world.broker)) as running:
        yield running


def challenge_of(service, deal_id: str) -> Challenge:
    return msgspec.convert(post_json(f"{service.url}/v1/challenges", {"deal": deal_id}), Challenge)


def post(service, path: str, body: bytes) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(f"{service.url}{path}", content=body)


def test_enclave_gets_its_keys_over_http(world, service, names):
    deal = world.open_deal()
    deal_id = deal.deal_id(names.domain)
    challenge = challenge_of(service, deal_id)

    release = msgspec.convert(post_json(f"{service.url}/v1/releases", world.request(challenge, deal)), Release)

    info = release_info(
        names.domain, deal_id, world.version, world.broker.address, challenge.nonce, world.enclave.address
    )
    keys = parse_column_keys(world.enclave.sealing.open(to_bytes(release.sealed_keys), info))
    assert set(keys) == {"age", "systolic", "cvd"}


def test_health_names_the_broker(world, service):
    assert get_json(f"{service.url}/v1/health") == {"broker": world.broker.address, "status": "ok"}


def test_health_of_a_paused_broker_says_so(world, service):
    world.store.pause.begin("a look")

    assert get_json(f"{service.url}/v1/health")["status"] == "paused"


def test_receipts_of_a_deal_are_handed_out_again(world, service, names):
    deal = world.open_deal()
    deal_id = deal.deal_id(names.domain)
    released = world.ask(deal)

    (receipt,) = get_json(f"{service.url}/v1/receipts/{deal_id}")

    assert receipt == {
        "version": world.version,
        "enclave": world.enclave.address,
        "key_receipt_signature": released.key_receipt_signature,
    }
    assert get_json(f"{service.url}/v1/receipts/0x{'00' * 32}") == []


def test_newest_anchor_is_handed_to_whoever_submits_it(world, service):
    assert httpx.get(f"{service.url}/v1/audit/anchor", trust_env=False).status_code == 404

    signed = {"sequence": 7}
    with RunningService(build_broker_service(world.broker, newest_anchor=lambda: signed)) as running:
        assert get_json(f"{running.url}/v1/audit/anchor") == signed


def test_client_that_asks_too_often_is_told_when_to_come_back(world, names):
    deal_id = world.open_deal().deal_id(names.domain)
    with RunningService(build_broker_service(world.broker, RateLimits(a_client="3/minute"))) as service:
        answers = [
            post(service, "/v1/challenges", msgspec.json.encode({"deal": deal_id})),
            post(service, "/v1/releases", b"{}"),
            httpx.get(f"{service.url}/v1/receipts/{deal_id}", trust_env=False),
            post(service, "/v1/challenges", msgspec.json.encode({"deal": deal_id})),
            post(service, "/v1/releases", b"{}"),
            httpx.get(f"{service.url}/v1/receipts/{deal_id}", trust_env=False),
        ]
        alive = get_json(f"{service.url}/v1/health")

    assert [answer.status_code for answer in answers] == [200, 400, 200, 429, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["error"] == "UnreachableError"
    assert alive["status"] == "ok"


def test_flood_about_one_deal_leaves_other_deals_their_turn(world, names):
    flooded, other = world.open_deal(), world.open_deal(poolPrice=3)
    with RunningService(build_broker_service(world.broker, RateLimits(a_deal="2/minute"))) as service:
        for _ in range(2):
            challenge_of(service, flooded.deal_id(names.domain))
        with pytest.raises(UnreachableError, match="too many requests"):
            challenge_of(service, flooded.deal_id(names.domain))

        assert challenge_of(service, other.deal_id(names.domain)).deal == other.deal_id(names.domain)


def test_refusal_is_403_with_its_reason(world, service, names):
    deal = world.deal()
    challenge = challenge_of(service, deal.deal_id(names.domain))

    answer = post(service, "/v1/releases", msgspec.json.encode(world.request(challenge, deal)))

    assert answer.status_code == 403
    assert answer.json()["error"] == "PolicyError"
    assert "not open" in answer.json()["message"]


def test_chain_that_is_down_is_503_and_counts_nothing(world, service, names):
    deal = world.open_deal()
    challenge = challenge_of(service, deal.deal_id(names.domain))
    world.chain.is_down = True

    answer = post(service, "/v1/releases", msgspec.json.encode(world.request(challenge, deal)))

    assert answer.status_code == 503
    assert answer.json()["error"] == "ChainError"
    assert world.count(deal) == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/challenges", b""),
        ("/v1/challenges", b"{"),
        ("/v1/challenges", b"\xff\xfe"),
        ("/v1/challenges", b"[]"),
        ("/v1/challenges", b'{"deal": "0x12"}'),
        ("/v1/challenges", b'{"deal": "0x' + b"11" * 32 + b'", "more": 1}'),
        ("/v1/challenges", b"[" * 200_000),
        ("/v1/releases", b'{"session": 1}'),
        ("/v1/releases", b"null"),
    ],
)
def test_malformed_body_is_400_without_a_stack_trace(service, path, body):
    answer = post(service, path, body)

    assert answer.status_code == 400
    assert answer.json()["error"] == "DocumentError"
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


def test_oversize_body_is_400_and_the_service_lives_on(world, service):
    with httpx.Client(trust_env=False, timeout=20) as client:
        try:
            answer = client.post(f"{service.url}/v1/releases", content=bytes(MAX_BODY_BYTES + 1))
            status = answer.status_code
        except httpx.TransportError:  # refused while it was still being sent
            status = 400

    assert status == 400
    assert get_json(f"{service.url}/v1/health")["broker"] == world.broker.address


def test_unexpected_failure_is_500_and_tells_nothing(world, service, monkeypatch):
    def break_down(_deal):
        raise RuntimeError("canary-7f3a in an internal message")

    monkeypatch.setattr(world.broker, "challenge", break_down)

    answer = post(service, "/v1/challenges", b'{"deal": "0x' + b"11" * 32 + b'"}')

    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/releases"), ("GET", "/docs"), ("POST", "/v1/keys")])
def test_other_paths_and_methods_do_not_exist(service, method, path):
    with httpx.Client(trust_env=False) as client:
        answer = client.request(method, f"{service.url}{path}")

    assert answer.status_code in (404, 405)


def test_log_lines_hold_no_key_and_no_evidence(world, service, names, caplog):
    caplog.set_level(logging.DEBUG)
    deal = world.open_deal()
    deal_id = deal.deal_id(names.domain)
    good = world.request(challenge_of(service, deal_id), deal)
    refused = world.request(challenge_of(service, deal_id), deal, enclave="0x" + "99" * 20)

    release = msgspec.convert(post_json(f"{service.url}/v1/releases", good), Release)
    with pytest.raises(ServiceError, match="report data"):
        post_json(f"{service.url}/v1/releases", refused)

    lines = [record.getMessage() for record in caplog.records]
    assert any("released to enclave" in line for line in lines)
    assert any("release refused" in line for line in lines)
    written = "\n".join(lines)
    secret = [
        world.master_key.hex(),
        release.sealed_keys[2:66],
        good.evidence.quote_hex[:64],
        good.evidence.quote_hex[-64:],
        good.encryption_public_key[2:66],
        good.session,
        names.vault_seed.hex(),
        "BEGIN CERTIFICATE",
    ]
    assert [item for item in secret if item in written] == []


def test_taken_port_is_a_service_error(service):
    port = int(service.url.rpartition(":")[2])

    with pytest.raises(ServiceError, match="can't listen"):
        bind("127.0.0.1", port)
