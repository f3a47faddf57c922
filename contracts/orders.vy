# pragma version 0.4.3
# pragma evm-version cancun
"""
@title The typed data of the Market (EIP-712): orders, deal, receipts, and their struct hashes
@license Apache-2.0
@notice Stateless module. Names, types and order of the fields are part of the protocol: every signature depends on
        them. Amounts are in base units of the token, times in seconds of Unix time, shares in 1/10,000.
"""

MAX_GRANTS: constant(uint256) = 64

struct DatasetGrant:
    datasetVersion: bytes32
    broker: address
    appRelease: bytes32
    requester: address       # zero: any; an account; or a contract with isMember(address)
    pool: address            # zero: any
    teeKinds: uint256        # bit set
    price: uint256
    withheldBps: uint256     # share of the price that is due when the disclosure rules withhold the result
    uses: uint256
    policyDigest: bytes32    # columns, purposes, disclosure profile: checked by the broker and the enclave
    notBefore: uint256
    expiry: uint256
    nonce: uint256

struct AppOffer:
    appRelease: bytes32
    price: uint256
    withheldBps: uint256
    uses: uint256
    requester: address
    expiry: uint256
    nonce: uint256

struct PoolOffer:
    pool: address
    teeKind: uint256         # one bit
    sizeClass: uint256
    price: uint256
    uses: uint256
    requester: address
    expiry: uint256
    nonce: uint256

struct GrantWanted:
    datasetVersion: bytes32
    maxPrice: uint256

struct Request:
    requester: address
    planDigest: bytes32
    grants: DynArray[GrantWanted, 64]
    appRelease: bytes32
    maxAppPrice: uint256
    pool: address            # zero: any
    sizeClass: uint256
    maxPoolPrice: uint256
    teeKinds: uint256
    resultKeyDigest: bytes32
    minGrants: uint256
    deadlineSeconds: uint256
    expiry: uint256
    nonce: uint256

struct DealGrant:
    datasetVersion: bytes32
    owner: address
    broker: address
    price: uint256
    withheldBps: uint256
    policyDigest: bytes32

struct Deal:
    requestDigest: bytes32
    requester: address
    planDigest: bytes32
    resultKeyDigest: bytes32
    appRelease: bytes32
    appAuthor: address
    appPrice: uint256
    appWithheldBps: uint256
    pool: address
    poolPrice: uint256
    stake: uint256
    teeKind: uint256
    sizeClass: uint256
    minGrants: uint256
    deadline: uint256
    grants: DynArray[DealGrant, 64]

struct SignedGrant:
    order: DatasetGrant
    signature: Bytes[260]    # up to four signatures of a contract wallet

_DATASET_GRANT: constant(bytes32) = keccak256(
    "DatasetGrant(bytes32 datasetVersion,address broker,bytes32 appRelease,address requester,address pool,uint256 teeKinds,uint256 price,uint256 withheldBps,uint256 uses,bytes32 policyDigest,uint256 notBefore,uint256 expiry,uint256 nonce)"
)
_APP_OFFER: constant(bytes32) = keccak256(
    "AppOffer(bytes32 appRelease,uint256 price,uint256 withheldBps,uint256 uses,address requester,uint256 expiry,uint256 nonce)"
)
_POOL_OFFER: constant(bytes32) = keccak256(
    "PoolOffer(address pool,uint256 teeKind,uint256 sizeClass,uint256 price,uint256 uses,address requester,uint256 expiry,uint256 nonce)"
)
_GRANT_WANTED: constant(bytes32) = keccak256("GrantWanted(bytes32 datasetVersion,uint256 maxPrice)")
_REQUEST: constant(bytes32) = keccak256(
    "Request(address requester,bytes32 planDigest,GrantWanted[] grants,bytes32 appRelease,uint256 maxAppPrice,address pool,uint256 sizeClass,uint256 maxPoolPrice,uint256 teeKinds,bytes32 resultKeyDigest,uint256 minGrants,uint256 deadlineSeconds,uint256 expiry,uint256 nonce)GrantWanted(bytes32 datasetVersion,uint256 maxPrice)"
)
_DEAL_GRANT: constant(bytes32) = keccak256(
    "DealGrant(bytes32 datasetVersion,address owner,address broker,uint256 price,uint256 withheldBps,bytes32 policyDigest)"
)
_DEAL: constant(bytes32) = keccak256(
    "Deal(bytes32 requestDigest,address requester,bytes32 planDigest,bytes32 resultKeyDigest,bytes32 appRelease,address appAuthor,uint256 appPrice,uint256 appWithheldBps,address pool,uint256 poolPrice,uint256 stake,uint256 teeKind,uint256 sizeClass,uint256 minGrants,uint256 deadline,DealGrant[] grants)DealGrant(bytes32 datasetVersion,address owner,address broker,uint256 price,uint256 withheldBps,bytes32 policyDigest)"
)
_KEY_RECEIPT: constant(bytes32) = keccak256("KeyReceipt(bytes32 deal,bytes32 datasetVersion,address enclave)")
_SETTLEMENT: constant(bytes32) = keccak256(
    "Settlement(bytes32 deal,uint256 outcome,uint256 code,uint256 leftOut,bytes32 resultDigest)"
)


@internal
@pure
def _hash_grant(order: DatasetGrant) -> bytes32:
    """
    @dev A static struct's ABI encoding is the concatenation of its words, which is EIP-712's encodeData
    """
    return keccak256(abi_encode(_DATASET_GRANT, order))


@internal
@pure
def _hash_app_offer(offer: AppOffer) -> bytes32:
    """
    @dev hashStruct of an app offer
    """
    return keccak256(abi_encode(_APP_OFFER, offer))


@internal
@pure
def _hash_pool_offer(offer: PoolOffer) -> bytes32:
    """
    @dev hashStruct of a pool offer
    """
    return keccak256(abi_encode(_POOL_OFFER, offer))


@internal
@pure
def _hash_request(request: Request) -> bytes32:
    """
    @dev hashStruct of a request; an array of structs is the hash of its members' hashes. The ABI encoding of a dynamic
         array starts with an offset and a length, which EIP-712 does not hash.
    """
    hashes: DynArray[bytes32, MAX_GRANTS] = []
    for wanted: GrantWanted in request.grants:
        hashes.append(keccak256(abi_encode(_GRANT_WANTED, wanted)))
    return keccak256(
        abi_encode(
            _REQUEST,
            request.requester,
            request.planDigest,
            keccak256(slice(abi_encode(hashes), 64, 32 * len(hashes))),
            request.appRelease,
            request.maxAppPrice,
            request.pool,
            request.sizeClass,
            request.maxPoolPrice,
            request.teeKinds,
            request.resultKeyDigest,
            request.minGrants,
            request.deadlineSeconds,
            request.expiry,
            request.nonce,
        )
    )


@internal
@pure
def _hash_deal(deal: Deal) -> bytes32:
    """
    @dev hashStruct of a deal
    """
    hashes: DynArray[bytes32, MAX_GRANTS] = []
    for grant: DealGrant in deal.grants:
        hashes.append(keccak256(abi_encode(_DEAL_GRANT, grant)))
    return keccak256(
        abi_encode(
            _DEAL,
            deal.requestDigest,
            deal.requester,
            deal.planDigest,
            deal.resultKeyDigest,
            deal.appRelease,
            deal.appAuthor,
            deal.appPrice,
            deal.appWithheldBps,
            deal.pool,
            deal.poolPrice,
            deal.stake,
            deal.teeKind,
            deal.sizeClass,
            deal.minGrants,
            deal.deadline,
            keccak256(slice(abi_encode(hashes), 64, 32 * len(hashes))),
        )
    )


@internal
@pure
def _hash_key_receipt(deal: bytes32, datasetVersion: bytes32, enclave: address) -> bytes32:
    """
    @dev hashStruct of a key receipt
    """
    return keccak256(abi_encode(_KEY_RECEIPT, deal, datasetVersion, enclave))


@internal
@pure
def _hash_settlement(
    deal: bytes32, outcome: uint256, code: uint256, leftOut: uint256, resultDigest: bytes32
) -> bytes32:
    """
    @dev hashStruct of a settlement
    """
    return keccak256(abi_encode(_SETTLEMENT, deal, outcome, code, leftOut, resultDigest))
