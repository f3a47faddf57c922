"""Round trips of typed structs, plans, frames and sealed messages, and of signatures with eth-account as referee."""

from __future__ import annotations

import io

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.errors import IntegrityError
from heartify.protocol.canonical import encode_canonical, to_bytes
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import Domain, from_abi, from_json
from heartify.protocol.frames import encode_frame, read_frame
from heartify.protocol.orders import AppOffer, DatasetGrant, GrantWanted, PoolOffer, Request
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose, parse_plan
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.sealing import SealingKey, seal
from heartify.protocol.signing import address_of, recover_address, sign_digest

BYTES32 = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())
ADDRESS = st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex())
UINT256 = st.integers(0, 2**256 - 1)
INNER = {GrantWanted: Request, DealGrant: Deal}


def structs(kind):
    """Draw values by the annotations, which are text here."""
    by_name = {"bytes32": BYTES32, "address": ADDRESS, "uint256": UINT256}
    fields = {}
    for name, annotation in kind.__annotations__.items():
        inner = [item for item in INNER if annotation == f"tuple[{item.__name__}, ...]"]
        fields[name] = st.lists(structs(inner[0]), max_size=3).map(tuple) if inner else by_name[annotation]
    return st.builds(kind, **fields)


ANY_STRUCT = st.one_of(
    structs(kind) for kind in (DatasetGrant, AppOffer, PoolOffer, Request, Deal, KeyReceipt, Settlement)
)


@given(ANY_STRUCT)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_typed_structs_survive_json_and_abi(message):
    assert from_json(type(message), message.to_json()) == message
    assert from_abi(type(message), message.to_abi()) == message


@given(ANY_STRUCT, st.integers(1, 2**64), ADDRESS, st.binary(min_size=32, max_size=32))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_signatures_are_those_of_eth_account(message, chain_id, market, secret):
    key = (int.from_bytes(secret, "big") % (2**255) + 1).to_bytes(32, "big")
    digest = message.digest(Domain(chain_id, market))

    signature = sign_digest(key, digest)

    assert to_bytes(signature) == Account.unsafe_sign_hash(digest, key).signature
    assert recover_address(digest, signature) == address_of(key) == Account.from_key(key).address.lower()


@given(st.binary(max_size=80))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_random_bytes_are_no_signature_of_a_known_account(data):
    try:
        recovered = recover_address(bytes(32), "0x" + data.hex())
    except IntegrityError:
        return
    assert len(data) == 65
    assert recovered != address_of(b"\x01" * 32)


NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.-]{0,10}\Z")
PLANS = st.builds(
    Plan,
    title=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    purpose=st.sampled_from(Purpose),
    permit=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    outcome=st.builds(OutcomeSpec, column=st.just("event"), above=st.floats(-1e15, 1e15)),
    factors=st.lists(
        st.builds(FactorSpec, name=NAMES, column=NAMES.map(lambda name: f"c{name}"), equals=st.none() | NAMES),
        min_size=1,
        max_size=5,
        unique_by=lambda factor: factor.name,
    ).map(tuple),
)


@given(PLANS)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_plans_survive_their_canonical_form(plan):
    again = parse_plan(encode_canonical(plan))

    assert again == plan
    assert again.digest() == plan.digest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), JSON, max_size=4), st.binary())
@settings(max_examples=60, derandomize=True, deadline=None)
def test_frames_survive_the_channel(header, body):
    stream = io.BytesIO(encode_frame(header, body) + b"rest")

    assert read_frame(stream.read) == (header, body)
    assert stream.read() == b"rest"


@given(st.binary(max_size=200), st.binary(max_size=50), st.integers(0), st.integers(0, 7))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_a_sealed_message_opens_whole_or_not_at_all(plaintext, info, place, bit):
    key = SealingKey.from_seed(bytes(32))
    sealed = seal(plaintext, key.public_key, info)
    damaged = bytearray(sealed)
    damaged[place % len(sealed)] ^= 1 << bit

    assert key.open(sealed, info) == plaintext
    with pytest.raises(IntegrityError):
        key.open(bytes(damaged), info)
    with pytest.raises(IntegrityError):
        key.open(sealed, info + b"\0")
