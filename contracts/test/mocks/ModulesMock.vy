# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Opens the stateless modules to tests
@license Apache-2.0
"""

from ... import orders
from ... import signatures


@external
@view
def hashDatasetGrant(order: orders.DatasetGrant) -> bytes32:
    return orders._hash_grant(order)


@external
@view
def hashAppOffer(offer: orders.AppOffer) -> bytes32:
    return orders._hash_app_offer(offer)


@external
@view
def hashPoolOffer(offer: orders.PoolOffer) -> bytes32:
    return orders._hash_pool_offer(offer)


@external
@view
def hashRequest(request: orders.Request) -> bytes32:
    return orders._hash_request(request)


@external
@view
def hashDeal(deal: orders.Deal) -> bytes32:
    return orders._hash_deal(deal)


@external
@view
def hashKeyReceipt(deal: bytes32, datasetVersion: bytes32, enclave: address) -> bytes32:
    return orders._hash_key_receipt(deal, datasetVersion, enclave)


@external
@view
def hashSettlement(
    deal: bytes32, outcome: uint256, code: uint256, leftOut: uint256, resultDigest: bytes32
) -> bytes32:
    return orders._hash_settlement(deal, outcome, code, leftOut, resultDigest)


@external
@view
def recover(digest: bytes32, signature: Bytes[260]) -> address:
    return signatures._recover(digest, signature)


@external
@view
def isSignedBy(signer: address, digest: bytes32, signature: Bytes[260]) -> bool:
    return signatures._is_signed_by(signer, digest, signature)
