"""Settlement: who is paid what for each outcome, and every reason for which it is refused."""

from __future__ import annotations

import pytest

DELIVERED, WITHHELD, FAILED = 2, 3, 4
# The prices of world.orders(3): hospitals 1000, 1100, 1200; app 500; pool 3000; stake 300.
TOTAL = 1_000 + 1_100 + 1_200 + 500 + 3_000


def _gains(world) -> dict[str, int]:
    """Return everybody's free balance over what he began with; nothing may stay locked."""
    started = {"lab": world.money, "pool": world.money}
    assert all(locked == 0 for _, locked in world.balances().values())
    return {name: free - started.get(name, 0) for name, (free, _) in world.balances().items()}


def _paid(lab: int, pool: int, author: int, *hospitals: int) -> dict[str, int]:
    padded = [*hospitals, 0, 0, 0, 0][:4]
    return {"lab": lab, "pool": pool, "author": author} | {f"hospital {i}": a for i, a in enumerate(padded)}


@pytest.mark.parametrize(
    ("outcome", "code", "left_out", "min_grants", "expected"),
    [
        pytest.param(DELIVERED, 0, 0, 1, _paid(-TOTAL, 3_000, 500, 1_000, 1_100, 1_200), id="delivered"),
        pytest.param(DELIVERED, 0, 0b010, 2, _paid(-5_700, 3_000, 500, 1_000, 0, 1_200), id="delivered, one left out"),
        pytest.param(DELIVERED, 0, 0b110, 1, _paid(-4_500, 3_000, 500, 1_000), id="delivered, two left out"),
        pytest.param(WITHHELD, 7, 0, 1, _paid(-4_075, 3_000, 250, 250, 275, 300), id="withheld"),
        pytest.param(WITHHELD, 7, 0b001, 2, _paid(-3_825, 3_000, 250, 0, 275, 300), id="withheld, one left out"),
        pytest.param(FAILED, 63, 0, 3, _paid(-3_000, 3_000, 0), id="failed by plan or data"),
        pytest.param(FAILED, 64, 0, 3, _paid(0, 0, 0), id="failed by the pool"),
        pytest.param(FAILED, 255, 0, 3, _paid(0, 0, 0), id="failed, last code"),
        pytest.param(FAILED, 1, 0b100, 2, _paid(-3_000, 3_000, 0), id="failed, enough grants"),
        pytest.param(FAILED, 1, 0b100, 3, _paid(0, 0, 0), id="failed, too few grants to pay the pool"),
        pytest.param(FAILED, 65, 0b110, 3, _paid(0, 0, 0), id="failed with one key receipt"),
    ],
)
def test_an_outcome_pays_as_its_rule_says(world, outcome, code, left_out, min_grants, expected):
    orders = world.orders(3)
    orders.request["minGrants"] = min_grants
    deal = world.match(orders)

    world.settle(deal, outcome, code, left_out)

    assert _gains(world) == expected
    assert sum(expected.values()) == 0
    assert world.status(deal) == outcome


def test_the_events_say_the_outcome_and_every_payment(world):
    deal = world.match(world.orders(2))

    world.settle(deal, WITHHELD, 9, 0b10)

    deal_id = world.deal_id(deal)
    (settled,) = world.events("DealSettled")
    arguments = world.settlement(deal, WITHHELD, 9, 0b10)
    assert settled == {
        "deal": deal_id,
        "outcome": WITHHELD,
        "code": 9,
        "leftOut": 0b10,
        "resultDigest": arguments[4],
        "enclave": world.enclave.address,
    }
    assert [(p["account"], p["role"], p["amount"]) for p in world.events("Paid")] == [
        (world.hospitals[0].owner.address, 1, 250),
        (world.author.address, 2, 250),
        (world.pool.address, 3, 3_000),
        (world.lab.address, 4, 5_600 - 3_500),
    ]
    assert {p["deal"] for p in world.events("Paid")} == {deal_id}


def test_a_share_is_rounded_down_in_favour_of_the_lab(world):
    orders = world.orders(1)
    orders.grants[0].update(price=999, withheldBps=3_333)
    deal = world.match(orders)

    world.settle(deal, WITHHELD, 1)

    assert world.free(world.hospitals[0].owner) == 332


def test_a_left_out_grants_receipt_is_not_read(world):
    deal = world.match(world.orders(2))
    receipts = world.key_receipts(deal)

    world.settle(deal, left_out=0b01, receipts=[b"\1" * 260, receipts[1]])

    assert world.status(deal) == DELIVERED


def test_an_owner_of_two_versions_in_a_deal_is_paid_for_both(world):
    hospital = world.hospitals[0]
    other = b"\7" * 32
    world.registry.publishVersion(hospital.dataset, other, "", sender=hospital.owner.address)
    orders = world.orders(2)
    orders.grants[1]["datasetVersion"] = orders.request["grants"][1]["datasetVersion"] = other
    orders.grants[1]["broker"] = hospital.broker.address
    signatures = [world.typed.sign("DatasetGrant", grant, hospital.owner) for grant in orders.grants]
    deal = world.match(orders, grants=signatures)
    receipts = [
        world.typed.sign(
            "KeyReceipt",
            {"deal": world.deal_id(deal), "datasetVersion": g["datasetVersion"], "enclave": world.enclave.address},
            hospital.broker,
        )
        for g in deal["grants"]
    ]

    world.settle(deal, receipts=receipts)

    assert world.free(hospital.owner) == 2_100


def test_settling_works_in_the_deadlines_last_second(world):
    deal = world.match()

    world.travel_to(deal["deadline"])
    world.settle(deal)

    assert world.status(deal) == DELIVERED


def test_settling_after_the_deadline_is_refused(world):
    deal = world.match()

    world.travel_to(deal["deadline"] + 1)

    with world.refused("market: past the deadline"):
        world.settle(deal)


def test_settling_twice_is_refused(world):
    deal = world.match()
    world.settle(deal)

    with world.refused("market: deal not open"):
        world.settle(deal)


@pytest.mark.parametrize("field", ["requester", "poolPrice", "stake", "minGrants", "deadline", "pool", "appAuthor"])
def test_a_deal_that_was_not_matched_is_refused(world, field):
    deal = world.match()

    deal[field] = world.stranger.address if isinstance(deal[field], str) else deal[field] + 1

    with world.refused("market: deal not open"):
        world.settle(deal)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0, 0, 0), "unknown outcome"),
        ((1, 0, 0), "unknown outcome"),
        ((5, 1, 0), "unknown outcome"),
        ((2**255, 1, 0), "unknown outcome"),
        ((DELIVERED, 1, 0), "code out of range"),
        ((WITHHELD, 0, 0), "code out of range"),
        ((WITHHELD, 256, 0), "code out of range"),
        ((FAILED, 0, 0), "code out of range"),
        ((FAILED, 256, 0), "code out of range"),
        ((DELIVERED, 0, 0b100), "left out beyond the grants"),
        ((DELIVERED, 0, 2**255), "left out beyond the grants"),
        ((DELIVERED, 0, 0b10), "not enough grants"),
        ((WITHHELD, 1, 0b01), "not enough grants"),
        ((FAILED, 1, 0b11), "not enough grants"),
    ],
)
def test_a_settlement_that_no_rule_allows_is_refused(world, arguments, reason):
    orders = world.orders(2)
    orders.request["minGrants"] = 2
    deal = world.match(orders)

    with world.refused(f"market: {reason}"):
        world.settle(deal, *arguments)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_key_receipts_is_refused(world, count):
    deal = world.match(world.orders(2))
    receipts = (world.key_receipts(deal) * 2)[:count]

    with world.refused("market: key receipts do not match the grants"):
        world.settle(deal, receipts=receipts)


def test_a_key_receipt_of_another_broker_is_refused(world):
    deal = world.match(world.orders(2))
    receipts = world.key_receipts(deal)

    with world.refused("market: bad key receipt"):
        world.settle(deal, receipts=receipts[::-1])


def test_a_missing_key_receipt_is_refused(world):
    deal = world.match(world.orders(2))

    with world.refused("market: bad key receipt"):
        world.settle(deal, receipts=[world.key_receipts(deal)[0], b""])


def test_a_key_receipt_for_another_enclave_is_refused(world):
    deal = world.match(world.orders(2))
    receipts = world.key_receipts(deal, world.stranger)

    with world.refused("market: bad key receipt"):
        world.settle(deal, receipts=receipts)


def test_a_key_receipt_of_another_deal_is_refused(world):
    first, second = world.match(world.orders(1)), world.match(world.orders(1))

    with world.refused("market: bad key receipt"):
        world.settle(second, receipts=world.key_receipts(first))


def test_an_enclave_without_key_receipts_settles_nothing(world):
    """A pool that makes up an enclave of its own has no broker's word for it."""
    deal = world.match(world.orders(2))

    with world.refused("market: bad key receipt"):
        world.settle(deal, FAILED, 1, enclave=world.stranger, receipts=world.key_receipts(deal))


@pytest.mark.parametrize("change", ["outcome", "code", "leftOut", "resultDigest"])
def test_nothing_that_the_enclave_signed_can_be_changed(world, change):
    deal = world.match(world.orders(2))
    arguments = world.settlement(deal, WITHHELD, 3)

    position = {"outcome": 1, "code": 2, "leftOut": 3, "resultDigest": 4}[change]
    arguments[position] = {"outcome": FAILED, "code": 4, "leftOut": 1, "resultDigest": b"\1" * 32}[change]

    with world.refused("market: bad enclave signature"):
        world.market.settle(*arguments, sender=world.stranger.address)


@pytest.mark.parametrize("signature", [b"", bytes(65), b"\1" * 65])
def test_a_bad_enclave_signature_is_refused(world, signature):
    deal = world.match()

    with world.refused("market: bad enclave signature"):
        world.settle(deal, signature=signature)


def test_the_zero_account_is_no_enclave(world):
    """ecrecover answers zero for a signature that is none."""
    deal = world.match()

    with world.refused("market: bad enclave signature"):
        world.settle(deal, enclave_address=world.zero, signature=bytes(65))


def test_an_enclave_signature_for_another_account_is_refused(world):
    deal = world.match()

    with world.refused("market: bad enclave signature"):
        world.settle(deal, enclave_address=world.stranger.address)
