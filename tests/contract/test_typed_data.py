"""Every typed struct: the contracts' hashes against eth-account's, over random values."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_utils import keccak, to_checksum_address
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

KINDS = ["DatasetGrant", "AppOffer", "PoolOffer", "Request", "Deal", "KeyReceipt", "Settlement"]
BOUNDED = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = {
    "bytes32": st.binary(min_size=32, max_size=32),
    "address": st.binary(min_size=20, max_size=20).map(to_checksum_address),
    "uint256": st.integers(0, 2**256 - 1) | st.integers(0, 300),
}


@pytest.fixture
def modules(world):
    return world.load_mock("ModulesMock")


def _values(types: dict, kind: str) -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {
            field["name"]: st.lists(_values(types, field["type"][:-2]), max_size=5)
            if field["type"].endswith("[]")
            else WORDS[field["type"]]
            for field in types[kind]
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_struct_hash_is_eth_accounts(world, modules, kind):
    hash_struct = getattr(modules, f"hash{kind}")

    @seed(20_261_122)
    @BOUNDED
    @given(values=_values(world.typed.types, kind))
    def agree(values):
        arguments = world.typed.to_abi(kind, values)
        flat = kind in ("KeyReceipt", "Settlement")

        assert (hash_struct(*arguments) if flat else hash_struct(arguments)) == world.typed.struct_hash(kind, values)

    agree()


@pytest.mark.parametrize("kind", ["Request", "Deal"])
@pytest.mark.parametrize("n", [0, 1, 63, 64])
def test_an_array_of_structs_hashes_alike_at_its_limits(world, modules, kind, n):
    types = world.typed.types
    example = {"bytes32": b"\1" * 32, "address": to_checksum_address(b"\2" * 20), "uint256": 3}
    item = {f["name"]: example[f["type"]] for f in types["GrantWanted" if kind == "Request" else "DealGrant"]}
    last = "maxPrice" if kind == "Request" else "price"
    values = {f["name"]: example.get(f["type"]) for f in types[kind]} | {
        "grants": [item | {last: index} for index in range(n)]
    }

    found = getattr(modules, f"hash{kind}")(world.typed.to_abi(kind, values))

    assert found == world.typed.struct_hash(kind, values)


def test_the_domain_is_eth_accounts(world):
    message = world.typed.message("KeyReceipt", {"deal": bytes(32), "datasetVersion": bytes(32), "enclave": world.zero})

    assert world.market.domainSeparator() == message.header


def test_a_deals_id_is_its_digest_under_the_domain(world):
    deal = world.match(world.orders(4))

    assert world.market.hashDeal(world.deal_abi(deal)) == world.typed.digest("Deal", deal)


@seed(20_261_122)
@BOUNDED
@given(key=st.integers(1, 2**128), text=st.text(max_size=20), data=st.data())
def test_a_recovered_account_is_eth_accounts(world, key, text, data):
    modules = world.load_mock("ModulesMock")
    account = Account.from_key(key.to_bytes(32, "big"))
    digest = keccak(text=text)
    signature = bytes(account.unsafe_sign_hash(digest).signature)
    position = data.draw(st.integers(0, 63))
    damaged = bytearray(signature)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))

    assert modules.recover(digest, signature) == account.address
    assert modules.isSignedBy(account.address, digest, signature)
    assert not modules.isSignedBy(account.address, digest, bytes(damaged))
    assert not modules.isSignedBy(account.address, keccak(digest), signature)


def test_nobody_signs_as_the_zero_account(world, modules):
    assert modules.recover(bytes(32), bytes(65)) == world.zero
    assert not modules.isSignedBy(world.zero, bytes(32), bytes(65))


def test_an_address_with_dirty_high_bits_is_refused(world, modules):
    """Else two encodings of one order would have two digests."""
    values = {"deal": bytes(32), "datasetVersion": bytes(32), "enclave": world.stranger.address}
    calldata = bytearray(modules.hashKeyReceipt.prepare_calldata(*values.values()))
    calldata[4 + 64] = 1

    computation = world.execute(modules, bytes(calldata))

    assert computation.is_error
