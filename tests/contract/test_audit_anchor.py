"""Anchors of brokers' audit logs: signed by the broker alone, for this contract on this chain, and only ever newer."""

from __future__ import annotations

from typing import Any

import boa
import pytest
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HEAD = keccak(text="the newest entry")
NEXT_HEAD = keccak(text="an entry after that")
MAX_SEQUENCE = 2**128 - 1
FIELDS = (("broker", "address"), ("sequence", "uint256"), ("head", "bytes32"))
DOMAIN_FIELDS = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))


def as_types(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]


@pytest.fixture
def broker(world):
    return world.hospitals[0].broker


@pytest.fixture
def signed(world):
    """Sign an anchor by eth-account, under the Registry's own domain unless told otherwise."""

    def sign(account, sequence: int, head: bytes = HEAD, **changes: Any) -> bytes:
        domain = {
            "name": "Heartify",
            "version": "1",
            "chainId": changes.get("chain_id", world.typed.domain["chainId"]),
            "verifyingContract": changes.get("contract", world.registry.address),
        }
        message = {"broker": changes.get("broker", account.address), "sequence": sequence, "head": head}
        typed = encode_typed_data(
            full_message={
                "types": {"EIP712Domain": as_types(DOMAIN_FIELDS), "AuditAnchor": as_types(FIELDS)},
                "primaryType": "AuditAnchor",
                "domain": domain,
                "message": message,
            }
        )
        return bytes(account.sign_message(typed).signature)

    return sign


@pytest.fixture
def anchor(world, broker, signed):
    """Anchor as a stranger, honestly signed unless a signature is given."""

    def call(sequence: int, head: bytes = HEAD, *, account=broker, signature: bytes | None = None) -> None:
        made = signed(account, sequence, head) if signature is None else signature
        world.registry.anchorAuditLog(account.address, sequence, head, made, sender=world.stranger.address)

    return call


def test_anybody_anchors_what_the_broker_signed(world, broker, anchor):
    anchor(7)

    assert world.events("AuditLogAnchored", world.registry) == [{"broker": broker.address, "sequence": 7, "head": HEAD}]
    assert tuple(world.registry.auditAnchor(broker.address)) == (7, HEAD, world.now)


def test_a_newer_anchor_takes_the_place_of_the_one_before(world, broker, anchor):
    anchor(7)
    world.travel_to(world.start_utc + 60)

    anchor(8, NEXT_HEAD)

    assert tuple(world.registry.auditAnchor(broker.address)) == (8, NEXT_HEAD, world.start_utc + 60)


def test_a_broker_without_an_anchor_has_zeros(world, broker):
    assert tuple(world.registry.auditAnchor(broker.address)) == (0, bytes(32), 0)


def test_brokers_have_anchors_of_their_own(world, broker, anchor):
    other = world.hospitals[1].broker
    anchor(7)

    anchor(3, NEXT_HEAD, account=other)

    assert tuple(world.registry.auditAnchor(broker.address))[:2] == (7, HEAD)
    assert tuple(world.registry.auditAnchor(other.address))[:2] == (3, NEXT_HEAD)


@pytest.mark.parametrize("sequence", [0, 1, 6, 7])
def test_an_anchor_that_is_not_newer_is_refused(world, broker, anchor, sequence):
    anchor(7)

    with world.refused("registry: anchor not newer", world.registry):
        anchor(sequence, NEXT_HEAD)

    assert tuple(world.registry.auditAnchor(broker.address))[:2] == (7, HEAD)


def test_a_replayed_anchor_is_refused(world, broker, signed, anchor):
    signature = signed(broker, 7)
    anchor(7, signature=signature)

    with world.refused("registry: anchor not newer", world.registry):
        anchor(7, signature=signature)


def test_the_first_sequence_number_is_one(world, anchor):
    with world.refused("registry: anchor not newer", world.registry):
        anchor(0)

    anchor(1)


def test_a_sequence_number_beyond_its_word_is_refused(world, broker, anchor):
    with world.refused("registry: anchor sequence out of range", world.registry):
        anchor(MAX_SEQUENCE + 1)

    anchor(MAX_SEQUENCE)

    assert tuple(world.registry.auditAnchor(broker.address)) == (MAX_SEQUENCE, HEAD, world.now)


def test_another_accounts_signature_is_refused(world, broker, signed, anchor):
    for account in (world.hospitals[1].broker, world.hospitals[0].owner, world.stranger):
        with world.refused("registry: bad anchor signature", world.registry):
            anchor(7, signature=signed(account, 7, broker=broker.address))


@pytest.mark.parametrize(
    "changes",
    [{"chain_id": 31_338}, {"contract": "0x" + "11" * 20}, {"contract": "market"}],
    ids=lambda c: str(list(c)),
)
def test_a_signature_for_another_chain_or_contract_is_refused(world, broker, signed, anchor, changes):
    if changes.get("contract") == "market":
        changes = {"contract": world.market.address}

    with world.refused("registry: bad anchor signature", world.registry):
        anchor(7, signature=signed(broker, 7, **changes))


def test_a_signature_of_another_sequence_or_head_is_refused(world, broker, signed, anchor):
    with world.refused("registry: bad anchor signature", world.registry):
        anchor(7, signature=signed(broker, 8))
    with world.refused("registry: bad anchor signature", world.registry):
        anchor(7, signature=signed(broker, 7, NEXT_HEAD))


def test_a_second_spelling_of_a_signature_is_refused(world, broker, signed, anchor):
    good = signed(broker, 7)
    high_s = (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    twin = good[:32] + high_s + bytes([55 - good[64]])

    with world.refused("registry: bad anchor signature", world.registry):
        anchor(7, signature=twin)
    anchor(7, signature=good)


@pytest.mark.parametrize("damage", ["empty", "63 bytes", "zeros", "v is 0 or 1", "one bit"])
def test_a_damaged_signature_is_refused(world, broker, signed, anchor, damage):
    good = signed(broker, 7)
    signature = {
        "empty": b"",
        "63 bytes": good[:63],
        "zeros": bytes(65),
        "v is 0 or 1": good[:64] + bytes([good[64] - 27]),
        "one bit": bytes([good[0] ^ 1]) + good[1:],
    }[damage]

    with world.refused("registry: bad anchor signature", world.registry):
        anchor(7, signature=signature)


def test_a_compact_signature_is_taken(world, broker, signed, anchor):
    good = signed(broker, 7)
    s = int.from_bytes(good[32:64], "big") | (good[64] - 27) << 255

    anchor(7, signature=good[:32] + s.to_bytes(32, "big"))

    assert tuple(world.registry.auditAnchor(broker.address))[:2] == (7, HEAD)


def test_nobody_signs_for_the_zero_account(world):
    with world.refused("registry: bad anchor signature", world.registry):
        world.registry.anchorAuditLog(world.zero, 7, HEAD, bytes(65), sender=world.stranger.address)


def test_a_signature_longer_than_any_accounts_is_refused(world, broker, signed):
    calldata = world.registry.anchorAuditLog.prepare_calldata(broker.address, 7, HEAD, signed(broker, 7) + bytes(195))

    assert world.execute(world.registry, calldata).is_error


def test_the_registrys_domain_is_eth_accounts_and_not_the_markets(world):
    typed = type(world.typed)(world.typed.domain["chainId"], world.registry.address)
    message = typed.message("KeyReceipt", {"deal": bytes(32), "datasetVersion": bytes(32), "enclave": world.zero})

    assert world.registry.domainSeparator() == message.header != world.market.domainSeparator()


def test_after_a_fork_of_the_chain_old_signatures_are_worth_nothing_and_new_ones_count(world, broker, signed, anchor):
    old, chain_id = signed(broker, 7), world.typed.domain["chainId"]
    patch = boa.env.evm.patch
    patch.chain_id = chain_id + 1
    try:
        with world.refused("registry: bad anchor signature", world.registry):
            anchor(7, signature=old)
        anchor(7, signature=signed(broker, 7, chain_id=chain_id + 1))
    finally:
        patch.chain_id = chain_id

    assert tuple(world.registry.auditAnchor(broker.address))[:2] == (7, HEAD)


ACTS = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose log
        st.integers(0, 6) | st.sampled_from([MAX_SEQUENCE, MAX_SEQUENCE + 1]),
        st.binary(min_size=32, max_size=32),
        st.sampled_from(["self", "other"]),  # who signs
        st.integers(1, 100),  # seconds until then
    ),
    max_size=12,
)


@seed(20_261_122)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_the_contract_is_the_model_of_a_high_water_mark(world, signed, acts):
    """The model: one (sequence, head, time) a broker, which only its own signature of a higher number replaces."""
    brokers = [hospital.broker for hospital in world.hospitals[:2]]
    model = {account.address: (0, bytes(32), 0) for account in brokers}
    with boa.env.anchor():
        for whose, sequence, head, signer, seconds in acts:
            world.travel_to(world.now + seconds)
            account = brokers[whose]
            by = account if signer == "self" else brokers[1 - whose]
            signature = signed(by, sequence, head, broker=account.address)
            arguments = (account.address, sequence, head, signature)
            accepted = signer == "self" and model[account.address][0] < sequence <= MAX_SEQUENCE
            if accepted:
                world.registry.anchorAuditLog(*arguments, sender=world.stranger.address)
                model[account.address] = (sequence, head, world.now)
            else:
                with pytest.raises(boa.BoaError):
                    world.registry.anchorAuditLog(*arguments, sender=world.stranger.address)
            for address, expected in model.items():
                assert tuple(world.registry.auditAnchor(to_checksum_address(address))) == expected
