# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Market: escrow, match, settle, reclaim
@license Apache-2.0
@notice Holds one ERC-20 token in escrow, checks signed orders, locks the prices of a deal and pays on the enclave's
        and the brokers' signatures. There is no administrator, no fee and no upgrade.

        State of a deal (one word each, under the deal's EIP-712 digest):

            none -> open        matchOrders   anyone      all constraints of all orders hold
            open -> delivered   settle        anyone      until the deadline, signatures of enclave and brokers
            open -> withheld    settle        anyone      likewise, code of the disclosure rules
            open -> failed      settle        anyone      likewise, code of the failure
            open -> failed      concede       the pool    until the deadline
            open -> reclaimed   reclaim       anyone      after the deadline

        Nothing leaves an end state.
@dev Trusts the token (a plain ERC-20: no fee on transfer, no rebasing) and the Registry, both fixed at deployment. An
     account's word holds the free balance in the low 128 bits and the locked one in the high 128; the escrow never
     holds more than 2**128 - 1 base units, so neither half overflows. Views are not locked, because a contract wallet
     may read the Market while its signature is asked for (ERC-1271).
"""

from ethereum.ercs import IERC20

from . import orders
from . import signatures
from .interfaces import IRegistry

event Deposited:
    account: indexed(address)
    amount: uint256

event Withdrawn:
    account: indexed(address)
    amount: uint256

event NoncesCancelled:
    maker: indexed(address)
    word: uint256
    mask: uint256

event GrantPosted:
    datasetVersion: indexed(bytes32)
    order: orders.DatasetGrant
    signature: Bytes[260]

event AppOfferPosted:
    appRelease: indexed(bytes32)
    order: orders.AppOffer
    signature: Bytes[260]

event PoolOfferPosted:
    pool: indexed(address)
    order: orders.PoolOffer
    signature: Bytes[260]

event DealMatched:
    deal: indexed(bytes32)
    requester: indexed(address)
    pool: indexed(address)
    data: orders.Deal

event DealSettled:
    deal: indexed(bytes32)
    outcome: uint256
    code: uint256
    leftOut: uint256
    resultDigest: bytes32
    enclave: address

event Paid:
    deal: indexed(bytes32)
    account: indexed(address)
    role: uint256
    amount: uint256

event DealConceded:
    deal: indexed(bytes32)

event DealReclaimed:
    deal: indexed(bytes32)
    compensation: uint256

# status of a deal; 2 to 4 are also the outcomes that an enclave signs
OPEN: constant(uint256) = 1
DELIVERED: constant(uint256) = 2
WITHHELD: constant(uint256) = 3
FAILED: constant(uint256) = 4
RECLAIMED: constant(uint256) = 5

# roles in the event Paid
DATASET: constant(uint256) = 1
APP: constant(uint256) = 2
POOL: constant(uint256) = 3
REFUND: constant(uint256) = 4

MAX_GRANTS: constant(uint256) = 64
MIN_DEADLINE_SECONDS: constant(uint256) = 60
MAX_DEADLINE_SECONDS: constant(uint256) = 30 * 86400
MAX_CODE: constant(uint256) = 255
FIRST_UNPAID_CODE: constant(uint256) = 64
FULL_BPS: constant(uint256) = 10_000

_MASK: constant(uint256) = 2**128 - 1
_DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)

token: public(immutable(address))
registry: public(immutable(address))
stakeBps: public(immutable(uint256))
_CHAIN_ID: immutable(uint256)
_DOMAIN: immutable(bytes32)

_accounts: HashMap[address, uint256]                      # free in the low 128 bits, locked in the high
_nonces: HashMap[address, HashMap[uint256, uint256]]      # maker -> word -> bits used or cancelled
_uses: HashMap[bytes32, uint256]                          # digest of an order for several uses -> uses so far
_deals: HashMap[bytes32, uint256]                         # deal id -> status
_listed: transient(HashMap[bytes32, bytes32])             # version -> request that listed it in this transaction


@deploy
def __init__(token_: address, registry_: address, stake_bps: uint256):
    """
    @param token_ The ERC-20 that prices are in
    @param registry_ The Registry that names owners and authors
    @param stake_bps What a pool locks beside a deal, in 1/10,000 of its price
    """
    assert token_.is_contract, "market: token is not a contract"
    assert registry_.is_contract, "market: registry is not a contract"
    assert stake_bps <= FULL_BPS, "market: stake out of range"
    token = token_
    registry = registry_
    stakeBps = stake_bps
    _CHAIN_ID = chain.id
    _DOMAIN = keccak256(abi_encode(_DOMAIN_TYPEHASH, keccak256("Heartify"), keccak256("1"), chain.id, self))


# escrow


@external
@nonreentrant
def deposit(amount: uint256):
    """
    @notice Move approved tokens of the caller into the caller's free balance
    """
    self._deposit(msg.sender, amount)


@external
@nonreentrant
def depositFor(account: address, amount: uint256):
    """
    @notice Move approved tokens of the caller into another account's free balance
    """
    assert account != empty(address), "market: account is zero"
    self._deposit(account, amount)


@external
@nonreentrant
def depositWithPermit(amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Approve by the caller's EIP-2612 signature and deposit
    @dev A failing permit is not refused: anybody who saw the signature could have used it first, and then the
         allowance is there. When it isn't, the token refuses the transfer.
    """
    permit: Bytes[228] = abi_encode(
        msg.sender,
        self,
        amount,
        deadline,
        v,
        r,
        s,
        method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
    )
    success: bool = raw_call(token, permit, revert_on_failure=False)
    self._deposit(msg.sender, amount)


@external
@nonreentrant
def withdraw(amount: uint256):
    """
    @notice Move free balance of the caller back to the caller's tokens
    """
    word: uint256 = self._accounts[msg.sender]
    assert word & _MASK >= amount, "market: insufficient escrow"
    self._accounts[msg.sender] = unsafe_sub(word, amount)
    log Withdrawn(account=msg.sender, amount=amount)
    assert extcall IERC20(token).transfer(msg.sender, amount, default_return_value=True), "market: token refused"


# bulletin


@external
def postGrant(order: orders.DatasetGrant, signature: Bytes[260]):
    """
    @notice Publish a grant; it promises nothing, and readers verify it
    """
    log GrantPosted(datasetVersion=order.datasetVersion, order=order, signature=signature)


@external
def postAppOffer(order: orders.AppOffer, signature: Bytes[260]):
    """
    @notice Publish an app offer; it promises nothing, and readers verify it
    """
    log AppOfferPosted(appRelease=order.appRelease, order=order, signature=signature)


@external
def postPoolOffer(order: orders.PoolOffer, signature: Bytes[260]):
    """
    @notice Publish a pool offer; it promises nothing, and readers verify it
    """
    log PoolOfferPosted(pool=order.pool, order=order, signature=signature)


@external
def cancelNonces(word: uint256, mask: uint256):
    """
    @notice Cancel the caller's orders with the nonces 256 * word + bit, for each bit of the mask; for ever
    """
    self._nonces[msg.sender][word] |= mask
    log NoncesCancelled(maker=msg.sender, word=word, mask=mask)


# deals


@external
@nonreentrant
def matchOrders(
    grants: DynArray[orders.SignedGrant, MAX_GRANTS],
    appOffer: orders.AppOffer,
    appSignature: Bytes[260],
    poolOffer: orders.PoolOffer,
    poolSignature: Bytes[260],
    request: orders.Request,
    requestSignature: Bytes[260],
) -> bytes32:
    """
    @notice Match orders into a deal and lock its prices and the pool's stake; anyone may call
    @param grants One for each grant that the request wants, in the request's order
    @param requestSignature Not needed when the requester calls
    @return The deal's id: the EIP-712 digest of the deal in the event DealMatched
    """
    requestDigest: bytes32 = self._digest(orders._hash_request(request))
    assert len(grants) == len(request.grants), "market: grants do not match the request"
    assert request.minGrants >= 1 and request.minGrants <= len(grants), "market: minGrants out of range"
    assert (
        request.deadlineSeconds >= MIN_DEADLINE_SECONDS and request.deadlineSeconds <= MAX_DEADLINE_SECONDS
    ), "market: deadline out of range"
    assert block.timestamp <= request.expiry, "market: request expired"
    if msg.sender != request.requester:
        assert signatures._is_signed_by(
            request.requester, requestDigest, requestSignature
        ), "market: bad request signature"
    assert self._use(request.requester, requestDigest, 1, request.nonce), "market: request used up"

    author: address = staticcall IRegistry(registry).releaseAuthor(request.appRelease)
    assert appOffer.appRelease == request.appRelease, "market: app offer for another release"
    assert appOffer.price <= request.maxAppPrice, "market: app price over limit"
    self._take_app_offer(appOffer, appSignature, author, request.requester)

    assert request.pool == empty(address) or request.pool == poolOffer.pool, "market: request for another pool"
    assert poolOffer.sizeClass == request.sizeClass, "market: size class mismatch"
    assert poolOffer.price <= request.maxPoolPrice, "market: pool price over limit"
    assert poolOffer.teeKind & request.teeKinds != 0, "market: tee kind not accepted by request"
    self._take_pool_offer(poolOffer, poolSignature, request.requester)

    versions: DynArray[bytes32, MAX_GRANTS] = []
    for wanted: orders.GrantWanted in request.grants:
        # A request is matched once, so its digest marks the versions of this deal even if a transaction makes several.
        assert self._listed[wanted.datasetVersion] != requestDigest, "market: duplicate dataset version"
        self._listed[wanted.datasetVersion] = requestDigest
        versions.append(wanted.datasetVersion)
    owners: DynArray[address, MAX_GRANTS] = staticcall IRegistry(registry).ownersOf(versions)

    deal: orders.Deal = orders.Deal(
        requestDigest=requestDigest,
        requester=request.requester,
        planDigest=request.planDigest,
        resultKeyDigest=request.resultKeyDigest,
        appRelease=request.appRelease,
        appAuthor=author,
        appPrice=appOffer.price,
        appWithheldBps=appOffer.withheldBps,
        pool=poolOffer.pool,
        poolPrice=poolOffer.price,
        stake=poolOffer.price * stakeBps // FULL_BPS,
        teeKind=poolOffer.teeKind,
        sizeClass=poolOffer.sizeClass,
        minGrants=request.minGrants,
        deadline=block.timestamp + request.deadlineSeconds,
        grants=[],
    )
    total: uint256 = appOffer.price + poolOffer.price
    for i: uint256 in range(len(grants), bound=MAX_GRANTS):
        wanted: orders.GrantWanted = request.grants[i]
        grant: orders.DatasetGrant = grants[i].order
        assert grant.datasetVersion == wanted.datasetVersion, "market: grants do not match the request"
        assert grant.price <= wanted.maxPrice, "market: grant price over limit"
        self._take_grant(grant, grants[i].signature, owners[i], deal.requester, deal.appRelease, deal.pool, deal.teeKind)
        total += grant.price
        deal.grants.append(
            orders.DealGrant(
                datasetVersion=grant.datasetVersion,
                owner=owners[i],
                broker=grant.broker,
                price=grant.price,
                withheldBps=grant.withheldBps,
                policyDigest=grant.policyDigest,
            )
        )

    assert self._lock(deal.requester, total), "market: insufficient escrow of the requester"
    assert self._lock(deal.pool, deal.stake), "market: insufficient escrow of the pool"
    dealId: bytes32 = self._digest(orders._hash_deal(deal))
    self._deals[dealId] = OPEN
    log DealMatched(deal=dealId, requester=deal.requester, pool=deal.pool, data=deal)
    return dealId


@external
@nonreentrant
def settle(
    deal: orders.Deal,
    outcome: uint256,
    code: uint256,
    leftOut: uint256,
    resultDigest: bytes32,
    enclave: address,
    keyReceipts: DynArray[Bytes[260], MAX_GRANTS],
    enclaveSignature: Bytes[65],
):
    """
    @notice End an open deal as its enclave says, and pay; anyone may call until the deadline
    @param outcome 2 delivered, 3 withheld, 4 failed
    @param code 0 for delivered, else 1 to 255: the code of the disclosure rule, or of the failure
    @param leftOut Bit i set: grant i did not take part, and its price goes back to the requester
    @param enclave The account of the enclave's key
    @param keyReceipts For each grant its broker's signature of the KeyReceipt; not read for a grant that is left out
    @param enclaveSignature The enclave's signature of the Settlement
    """
    dealId: bytes32 = self._digest(orders._hash_deal(deal))
    assert self._deals[dealId] == OPEN, "market: deal not open"
    assert block.timestamp <= deal.deadline, "market: past the deadline"
    assert len(keyReceipts) == len(deal.grants), "market: key receipts do not match the grants"
    assert leftOut >> len(deal.grants) == 0, "market: left out beyond the grants"
    assert outcome >= DELIVERED and outcome <= FAILED, "market: unknown outcome"
    assert (outcome == DELIVERED) == (code == 0) and code <= MAX_CODE, "market: code out of range"
    statement: bytes32 = self._digest(orders._hash_settlement(dealId, outcome, code, leftOut, resultDigest))
    assert (
        enclave != empty(address) and signatures._recover(statement, enclaveSignature) == enclave
    ), "market: bad enclave signature"
    self._deals[dealId] = outcome

    locked: uint256 = deal.appPrice + deal.poolPrice
    paid: uint256 = 0
    contributing: uint256 = 0
    for i: uint256 in range(len(deal.grants), bound=MAX_GRANTS):
        grant: orders.DealGrant = deal.grants[i]
        locked += grant.price
        if (leftOut >> i) & 1 == 1:
            continue
        receipt: bytes32 = self._digest(orders._hash_key_receipt(dealId, grant.datasetVersion, enclave))
        assert signatures._is_signed_by(grant.broker, receipt, keyReceipts[i]), "market: bad key receipt"
        contributing += 1
        paid += self._pay(dealId, grant.owner, DATASET, self._due(outcome, grant.price, grant.withheldBps))

    poolDue: uint256 = deal.poolPrice
    if outcome == FAILED:
        # Fewer than minGrants key receipts could come from one hospital and a pool together, so they earn nothing.
        assert contributing >= 1, "market: not enough grants"
        if code >= FIRST_UNPAID_CODE or contributing < deal.minGrants:
            poolDue = 0
    else:
        assert contributing >= deal.minGrants, "market: not enough grants"
    paid += self._pay(dealId, deal.appAuthor, APP, self._due(outcome, deal.appPrice, deal.appWithheldBps))
    paid += poolDue
    self._release(deal.requester, locked, locked - paid)
    self._release(deal.pool, deal.stake, deal.stake + poolDue)
    self._log_paid(dealId, deal.pool, POOL, poolDue)
    self._log_paid(dealId, deal.requester, REFUND, locked - paid)
    log DealSettled(
        deal=dealId, outcome=outcome, code=code, leftOut=leftOut, resultDigest=resultDigest, enclave=enclave
    )


@external
@nonreentrant
def concede(deal: orders.Deal):
    """
    @notice Give an open deal back: the requester is refunded, the stake returns; only the pool, until the deadline
    @dev For the silence of brokers, which is not the pool's fault. After the deadline the stake is the requester's.
    """
    dealId: bytes32 = self._digest(orders._hash_deal(deal))
    assert self._deals[dealId] == OPEN, "market: deal not open"
    assert msg.sender == deal.pool, "market: not the pool"
    assert block.timestamp <= deal.deadline, "market: past the deadline"
    self._deals[dealId] = FAILED
    total: uint256 = self._total(deal)
    self._release(deal.requester, total, total)
    self._release(deal.pool, deal.stake, deal.stake)
    log DealConceded(deal=dealId)


@external
@nonreentrant
def reclaim(deal: orders.Deal):
    """
    @notice Refund the requester of a deal that nobody settled, with the pool's stake on top; anyone, after the deadline
    """
    dealId: bytes32 = self._digest(orders._hash_deal(deal))
    assert self._deals[dealId] == OPEN, "market: deal not open"
    assert block.timestamp > deal.deadline, "market: before the deadline"
    self._deals[dealId] = RECLAIMED
    total: uint256 = self._total(deal)
    self._release(deal.requester, total, total + deal.stake)
    self._release(deal.pool, deal.stake, 0)
    log DealReclaimed(deal=dealId, compensation=deal.stake)


# views


@external
@view
def statusOf(dealId: bytes32) -> uint256:
    """
    @notice 0 none, 1 open, 2 delivered, 3 withheld, 4 failed, 5 reclaimed
    """
    return self._deals[dealId]


@external
@view
def freeOf(account: address) -> uint256:
    """
    @notice What the account can withdraw, or lock in a deal
    """
    return self._accounts[account] & _MASK


@external
@view
def lockedOf(account: address) -> uint256:
    """
    @notice What the account has locked in open deals
    """
    return self._accounts[account] >> 128


@external
@view
def usesOf(orderDigest: bytes32) -> uint256:
    """
    @notice How often an order for several uses has been matched; an order for one use shows in isNonceUsed
    """
    return self._uses[orderDigest]


@external
@view
def isNonceUsed(maker: address, nonce: uint256) -> bool:
    """
    @notice Whether the nonce was used by an order for one use, or cancelled
    """
    return self._nonces[maker][nonce >> 8] & (1 << (nonce & 255)) != 0


@external
@view
def domainSeparator() -> bytes32:
    """
    @notice The EIP-712 domain separator of name "Heartify", version "1", on this chain
    """
    return self._domain()


@external
@view
def hashDeal(deal: orders.Deal) -> bytes32:
    """
    @notice The id of a deal: its EIP-712 digest
    """
    return self._digest(orders._hash_deal(deal))


# internals: orders


@internal
def _take_app_offer(offer: orders.AppOffer, signature: Bytes[260], author: address, requester: address):
    """
    @dev Check the app offer's own conditions and count the use
    """
    assert author != empty(address), "market: release not live"
    assert block.timestamp <= offer.expiry, "market: app offer expired"
    assert offer.price <= _MASK, "market: price out of range"
    assert offer.withheldBps <= FULL_BPS, "market: withheld share out of range"
    assert self._admits(offer.requester, requester), "market: app offer for another requester"
    digest: bytes32 = self._digest(orders._hash_app_offer(offer))
    assert signatures._is_signed_by(author, digest, signature), "market: bad app offer signature"
    assert self._use(author, digest, offer.uses, offer.nonce), "market: app offer used up"


@internal
def _take_pool_offer(offer: orders.PoolOffer, signature: Bytes[260], requester: address):
    """
    @dev Check the pool offer's own conditions and count the use
    """
    assert offer.teeKind & unsafe_sub(offer.teeKind, 1) == 0, "market: tee kind is not one bit"
    assert block.timestamp <= offer.expiry, "market: pool offer expired"
    assert offer.price <= _MASK, "market: price out of range"
    assert self._admits(offer.requester, requester), "market: pool offer for another requester"
    digest: bytes32 = self._digest(orders._hash_pool_offer(offer))
    assert signatures._is_signed_by(offer.pool, digest, signature), "market: bad pool offer signature"
    assert self._use(offer.pool, digest, offer.uses, offer.nonce), "market: pool offer used up"


@internal
def _take_grant(
    grant: orders.DatasetGrant,
    signature: Bytes[260],
    owner: address,
    requester: address,
    appRelease: bytes32,
    pool: address,
    teeKind: uint256,
):
    """
    @dev Check the grant's own conditions and count the use
    """
    assert owner != empty(address), "market: version not live"
    assert block.timestamp >= grant.notBefore, "market: grant not yet valid"
    assert block.timestamp <= grant.expiry, "market: grant expired"
    assert grant.price <= _MASK, "market: price out of range"
    assert grant.withheldBps <= FULL_BPS, "market: withheld share out of range"
    assert grant.appRelease == appRelease, "market: grant for another release"
    assert grant.pool == empty(address) or grant.pool == pool, "market: grant for another pool"
    assert grant.teeKinds & teeKind != 0, "market: tee kind not accepted by grant"
    assert self._admits(grant.requester, requester), "market: grant for another requester"
    digest: bytes32 = self._digest(orders._hash_grant(grant))
    assert signatures._is_signed_by(owner, digest, signature), "market: bad grant signature"
    assert self._use(owner, digest, grant.uses, grant.nonce), "market: grant used up"


@internal
@view
def _admits(restriction: address, requester: address) -> bool:
    """
    @dev Whether an order's requester field admits the requester: zero, the same account, or a group with this member
    """
    if restriction == empty(address) or restriction == requester:
        return True
    if not restriction.is_contract:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        restriction,
        abi_encode(requester, method_id=method_id("isMember(address)")),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, uint256) == 1


@internal
def _use(maker: address, digest: bytes32, uses: uint256, nonce: uint256) -> bool:
    """
    @dev Count one use of an order; False when it is used up or cancelled. Orders for one use share a word by 256
         (Permit2's bitmap); orders for several count under their digest, and a cancelled nonce blocks them as well.
    """
    word: uint256 = self._nonces[maker][nonce >> 8]
    bit: uint256 = 1 << (nonce & 255)
    if word & bit != 0:
        return False
    if uses == 1:
        self._nonces[maker][nonce >> 8] = word | bit
        return True
    used: uint256 = self._uses[digest]
    if used >= uses:
        return False
    self._uses[digest] = unsafe_add(used, 1)
    return True


@internal
@view
def _domain() -> bytes32:
    """
    @dev Computed anew when a fork has changed the chain's id
    """
    if chain.id == _CHAIN_ID:
        return _DOMAIN
    return keccak256(abi_encode(_DOMAIN_TYPEHASH, keccak256("Heartify"), keccak256("1"), chain.id, self))


@internal
@view
def _digest(structHash: bytes32) -> bytes32:
    """
    @dev The EIP-712 digest that is signed
    """
    return keccak256(concat(x"1901", self._domain(), structHash))


# internals: money


@internal
def _deposit(account: address, amount: uint256):
    """
    @dev Pull tokens of the caller and credit them; a token that delivers less than asked is refused
    """
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transferFrom(msg.sender, self, amount, default_return_value=True), "market: token refused"
    held: uint256 = staticcall IERC20(token).balanceOf(self)
    assert held >= before and held - before == amount, "market: token took a fee"
    assert held <= _MASK, "market: escrow full"
    self._accounts[account] += amount
    log Deposited(account=account, amount=amount)


@internal
def _lock(account: address, amount: uint256) -> bool:
    """
    @dev Move free balance to the locked one; False when there is too little
    """
    if amount == 0:
        return True
    word: uint256 = self._accounts[account]
    if word & _MASK < amount:
        return False
    self._accounts[account] = unsafe_add(unsafe_sub(word, amount), amount << 128)
    return True


@internal
def _release(account: address, locked: uint256, free: uint256):
    """
    @dev Take from the locked balance and add to the free one. The subtraction reverts if less is locked: the free
         half is under 2**128, so it can't lend to the locked half.
    """
    if locked == 0 and free == 0:
        return
    self._accounts[account] = self._accounts[account] - (locked << 128) + free


@internal
def _pay(dealId: bytes32, account: address, role: uint256, amount: uint256) -> uint256:
    """
    @dev Credit an account, and give the amount back
    """
    if amount != 0:
        self._accounts[account] += amount
        self._log_paid(dealId, account, role, amount)
    return amount


@internal
def _log_paid(dealId: bytes32, account: address, role: uint256, amount: uint256):
    """
    @dev Say who got what; nothing is said of nothing
    """
    if amount != 0:
        log Paid(deal=dealId, account=account, role=role, amount=amount)


@internal
@pure
def _due(outcome: uint256, price: uint256, withheldBps: uint256) -> uint256:
    """
    @dev What a hospital or the app author earns: all when delivered, its share when withheld, nothing when failed
    """
    if outcome == DELIVERED:
        return price
    if outcome == WITHHELD:
        return price * withheldBps // FULL_BPS
    return 0


@internal
@pure
def _total(deal: orders.Deal) -> uint256:
    """
    @dev What the requester has locked for the deal
    """
    total: uint256 = deal.appPrice + deal.poolPrice
    for grant: orders.DealGrant in deal.grants:
        total += grant.price
    return total
