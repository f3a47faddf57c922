from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from heartify.chain.events import PaymentRole
from heartify.errors import ChainError, IntegrityError, RevertError, UsageError
from heartify.protocol.eip712 import uint256
from heartify.protocol.orders import Signed
from heartify.protocol.outcomes import DealState, Outcome
from heartify.protocol.signing import generate_private_key, sign_digest

POOL_PRICE, STAKE, APP_PRICE = 1_000, 100, 50
GRANT_PRICES = (100, 200, 300, 400)


def settle(world: Any, deal: Any, signed: Any) -> Any:
    return world.pool.market.settle(
        deal,
        signed.settlement,
        enclave=signed.enclave,
        key_receipt_signatures=signed.key_receipts,
        enclave_signature=signed.signature,
    )


def travel(world: Any, seconds: int) -> None:
    world.connection.request("evm_increaseTime", [seconds])
    world.connection.request("evm_mine", [])


@pytest.mark.parametrize("n", [1, 4])
def test_a_delivered_deal_pays_every_hospital_the_author_and_the_pool(world: Any, n: int) -> None:
    owners = [hospital.party for hospital in world.hospitals[:n]]
    before = world.free(*owners, world.author, world.pool, world.lab)

    matched = world.match(world.sign_orders(n))
    locked = world.market.locked_of(world.lab.address), world.market.locked_of(world.pool.address)
    sent = settle(world, matched.deal, world.sign_settlement(matched.deal))

    total = sum(GRANT_PRICES[:n]) + APP_PRICE + POOL_PRICE
    assert locked == (total, STAKE)
    gained = [
        after - was for after, was in zip(world.free(*owners, world.author, world.pool, world.lab), before, strict=True)
    ]
    assert gained == [*GRANT_PRICES[:n], APP_PRICE, POOL_PRICE, -total]
    assert world.market.status_of(matched.deal_id) is DealState.DELIVERED
    assert world.market.locked_of(world.lab.address) == world.market.locked_of(world.pool.address) == 0
    assert matched.gas_used > 0 < sent.gas_used


def test_the_settlement_and_its_payments_are_read_back(world: Any) -> None:
    deal = world.match(world.sign_orders(4)).deal
    deal_id = deal.deal_id(world.deployment.domain)
    signed = world.sign_settlement(deal)
    assert world.market.settlement_of(deal_id) is None

    sent = settle(world, deal, signed)

    found = world.market.settlement_of(deal_id)
    assert found is not None
    assert (found.settlement, found.enclave, found.outcome) == (signed.settlement, signed.enclave, Outcome.DELIVERED)
    assert (found.place.block_number, found.place.tx_hash) == (sent.block_number, sent.tx_hash)
    assert found in world.market.deals_settled()
    paid = {(payment.account, payment.role): payment.amount for payment in world.market.payments(deal_id)}
    expected = {
        (h.party.address, PaymentRole.DATASET): price for h, price in zip(world.hospitals, GRANT_PRICES, strict=True)
    }
    expected |= {(world.author.address, PaymentRole.APP): APP_PRICE, (world.pool.address, PaymentRole.POOL): POOL_PRICE}
    assert {key: amount for key, amount in paid.items() if key[1] is not PaymentRole.REFUND} == expected


def test_a_left_out_hospital_is_not_paid_and_the_lab_gets_its_price_back(world: Any) -> None:
    deal = world.match(world.sign_orders(4, min_grants=3)).deal
    left_out = [index for index, grant in enumerate(deal.grants) if grant.owner == world.hospitals[3].party.address]
    before = world.free(world.hospitals[3].party, world.lab)

    settle(world, deal, world.sign_settlement(deal, left_out=left_out))

    assert world.free(world.hospitals[3].party, world.lab) == [before[0], before[1] + GRANT_PRICES[3]]


def test_a_failure_of_the_pool_pays_nobody(world: Any) -> None:
    deal = world.match(world.sign_orders(1)).deal
    before = world.free(world.lab, world.pool)

    settle(world, deal, world.sign_settlement(deal, Outcome.FAILED, code=64))

    assert world.market.status_of(deal.deal_id(world.deployment.domain)) is DealState.FAILED
    assert world.free(world.lab, world.pool) == [before[0] + 100 + APP_PRICE + POOL_PRICE, before[1] + STAKE]


def test_the_deal_id_computed_here_is_the_contracts(world: Any) -> None:
    matched = world.match(world.sign_orders(4))

    recomputed = matched.deal.deal_id(world.deployment.domain)

    assert recomputed == matched.deal_id == world.market.hash_deal(matched.deal)
    found = world.market.find_deal(matched.deal_id)
    assert (found.deal, found.deal_id, found.place.tx_hash) == (matched.deal, matched.deal_id, matched.tx_hash)


def test_a_deal_that_is_not_on_the_chain_is_a_chain_error(world: Any) -> None:
    with pytest.raises(ChainError, match="is not on the chain"):
        world.market.find_deal("0x" + "12" * 32)

    assert world.market.status_of("0x" + "12" * 32) is DealState.NONE


def test_a_deal_under_another_markets_domain_is_an_integrity_error(world: Any) -> None:
    matched = world.match(world.sign_orders(1))
    reader = world.market
    reader.domain = type(reader.domain)(1, reader.domain.contract)

    with pytest.raises(IntegrityError, match="does not match its id"):
        reader.find_deal(matched.deal_id)


def test_deals_are_found_by_pool_and_by_requester(world: Any) -> None:
    start = world.connection.head() + 1
    matched = world.match(world.sign_orders(1))

    by_pool = world.market.deals_matched(start, pool=world.pool.address)
    by_requester = world.market.deals_matched(start, requester=world.lab.address)
    by_stranger = world.market.deals_matched(start, pool=world.lab.address)

    assert [deal.deal_id for deal in by_pool] == [deal.deal_id for deal in by_requester] == [matched.deal_id]
    assert by_stranger == ()


def test_anyone_may_match_with_the_labs_signature_and_the_lab_without_one(world: Any) -> None:
    by_anyone = world.match(world.sign_orders(1), by=world.author)
    orders = world.sign_orders(1)
    unsigned = type(orders)(orders.grants, orders.app_offer, orders.pool_offer, Signed(orders.request.order, "0x"))
    by_lab = world.match(unsigned)

    assert world.market.status_of(by_anyone.deal_id) is world.market.status_of(by_lab.deal_id) is DealState.OPEN
    with pytest.raises(RevertError, match="market: bad request signature"):
        world.match(type(orders)(*_fresh(world), Signed(world.sign_orders(1).request.order, "0x")), by=world.author)


def _fresh(world: Any) -> tuple[Any, Any, Any]:
    orders = world.sign_orders(1)
    return orders.grants, orders.app_offer, orders.pool_offer


def test_what_would_revert_is_named_and_never_sent(world: Any) -> None:
    orders = world.sign_orders(1)
    forged = Signed(orders.grants[0].order, sign_digest(generate_private_key(), bytes(32)))
    count = world.connection.web3.eth.get_transaction_count
    account = world.connection.web3.to_checksum_address(world.lab.address)
    before, head = count(account, "pending"), world.connection.head()

    with pytest.raises(RevertError) as caught:
        world.match(type(orders)((forged,), orders.app_offer, orders.pool_offer, orders.request))

    assert caught.value.reason == "market: bad grant signature"
    assert (count(account, "pending"), world.connection.head()) == (before, head)
    assert world.match(orders).deal_id


def test_a_deal_settles_once(world: Any) -> None:
    deal = world.match(world.sign_orders(1)).deal
    signed = world.sign_settlement(deal)
    settle(world, deal, signed)

    with pytest.raises(RevertError, match="market: deal not open"):
        settle(world, deal, signed)


def test_a_settlement_for_another_deal_is_refused_before_the_chain_is_asked(world: Any) -> None:
    first, second = world.match(world.sign_orders(1)).deal, world.match(world.sign_orders(1)).deal

    with pytest.raises(IntegrityError, match="another deal"):
        settle(world, second, world.sign_settlement(first))


def test_a_key_receipt_by_another_than_the_broker_is_refused(world: Any) -> None:
    deal = world.match(world.sign_orders(1)).deal
    signed = world.sign_settlement(deal)
    forged = type(signed)(
        signed.settlement, signed.enclave, (sign_digest(generate_private_key(), bytes(32)),), signed.signature
    )

    with pytest.raises(RevertError, match="market: bad key receipt"):
        settle(world, deal, forged)

    assert world.market.status_of(deal.deal_id(world.deployment.domain)) is DealState.OPEN


def test_a_pool_can_give_a_deal_back(world: Any) -> None:
    before = world.free(world.lab, world.pool)
    matched = world.match(world.sign_orders(1))

    with pytest.raises(RevertError, match="market: not the pool"):
        world.lab.market.concede(matched.deal)
    world.pool.market.concede(matched.deal)

    assert world.free(world.lab, world.pool) == before
    assert world.market.status_of(matched.deal_id) is DealState.FAILED
    assert [closed.deal_id for closed in world.market.deals_conceded(deal_id=matched.deal_id)] == [matched.deal_id]


def test_after_the_deadline_anyone_refunds_the_lab_with_the_pools_stake(world: Any) -> None:
    before = world.free(world.lab, world.pool)
    matched = world.match(world.sign_orders(1))
    with pytest.raises(RevertError, match="market: before the deadline"):
        world.author.market.reclaim(matched.deal)

    travel(world, 700)
    with pytest.raises(RevertError, match="market: past the deadline"):
        settle(world, matched.deal, world.sign_settlement(matched.deal))
    world.author.market.reclaim(matched.deal)

    assert world.free(world.lab, world.pool) == [before[0] + STAKE, before[1] - STAKE]
    assert world.market.status_of(matched.deal_id) is DealState.RECLAIMED
    closed = world.market.deals_reclaimed(deal_id=matched.deal_id)
    assert [(deal.deal_id, deal.compensation) for deal in closed] == [(matched.deal_id, STAKE)]


def test_uses_and_nonces_are_counted_on_the_chain(world: Any) -> None:
    once, often = world.sign_orders(1), world.sign_orders(1, uses=2)
    digest = "0x" + often.grants[0].order.digest(world.deployment.domain).hex()
    owner = world.hospitals[0].party.address

    world.match(once)
    world.match(often)

    assert world.market.is_nonce_used(owner, once.grants[0].order.nonce)
    assert not world.market.is_nonce_used(owner, often.grants[0].order.nonce)
    assert world.market.uses_of(digest) == 1


def test_a_cancelled_order_is_never_matched(world: Any) -> None:
    orders = world.sign_orders(1)
    nonce = orders.grants[0].order.nonce

    world.hospitals[0].party.market.cancel_nonce(nonce)

    assert world.market.is_nonce_used(world.hospitals[0].party.address, nonce)
    with pytest.raises(RevertError, match="market: grant used up"):
        world.match(orders)


def test_posted_orders_come_back_as_they_were_signed(world: Any) -> None:
    orders = world.sign_orders(2)
    start = world.connection.head() + 1

    for hospital, grant in zip(world.hospitals, orders.grants, strict=False):
        hospital.party.market.post_grant(grant)
    world.author.market.post_app_offer(orders.app_offer)
    world.pool.market.post_pool_offer(orders.pool_offer)

    market, version = world.market, orders.grants[1].order.datasetVersion
    assert [posted.signed for posted in market.grants_posted(start)] == list(orders.grants)
    assert [posted.signed for posted in market.grants_posted(start, dataset_version=version)] == [orders.grants[1]]
    assert [posted.signed for posted in market.app_offers_posted(start)] == [orders.app_offer]
    assert [posted.signed for posted in market.pool_offers_posted(start, pool=world.pool.address)] == [
        orders.pool_offer
    ]
    assert market.pool_offers_posted(start, pool=world.lab.address) == ()
    market.grants_posted(start)[0].signed.verify(world.deployment.domain, world.hospitals[0].party.address)


def test_money_moves_in_and_out_of_escrow(world: Any) -> None:
    party, other = world.new_party(), world.new_party()
    party.token.mint(party.address, 500)
    party.token.approve(world.deployment.market, 500)

    party.market.deposit(200)
    party.market.deposit_for(other.address, 100)
    party.market.withdraw(50)

    assert world.free(party, other) == [150, 100]
    assert party.token.balance_of(party.address) == 250
    with pytest.raises(RevertError, match="market: insufficient escrow"):
        party.market.withdraw(151)


def test_a_permit_and_a_deposit_take_one_transaction(world: Any) -> None:
    party, deadline = world.new_party(), world.connection.time_utc_seconds() + 600
    party.token.mint(party.address, 500)
    signed = Account.sign_typed_data(
        party.key,
        domain_data={
            "name": "Unsafe test token",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": world.deployment.token,
        },
        message_types={
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        message_data={
            "owner": party.address,
            "spender": world.deployment.market,
            "value": 500,
            "nonce": 0,
            "deadline": deadline,
        },
    )

    party.market.deposit_with_permit(500, deadline, "0x" + signed.signature.hex().removeprefix("0x"))

    assert world.free(party) == [500]
    with pytest.raises(UsageError, match="65 bytes"):
        party.market.deposit_with_permit(1, deadline, "0x1234")


def test_a_request_that_its_lab_cannot_pay_is_refused(world: Any) -> None:
    world.lab.market.withdraw(world.market.free_of(world.lab.address))
    try:
        with pytest.raises(RevertError, match="market: insufficient escrow of the requester"):
            world.match(world.sign_orders(1))
    finally:
        world.lab.token.approve(world.deployment.market, 10**6)
        world.lab.market.deposit(10**5)


def test_a_client_without_an_account_can_only_read(world: Any) -> None:
    with pytest.raises(UsageError, match="needs an account"):
        world.market.deposit(uint256(1))
