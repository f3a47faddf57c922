# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Registry of datasets, dataset versions, app releases and pools, and of the heads of brokers' audit logs
@license Apache-2.0
@notice Whoever registers an id first owns it. There is no administrator and no upgrade: only the owner of a dataset and
        the author of a release change anything about them. A version or release goes
            none -> live <-> paused, and live or paused -> withdrawn, which is final.
        Only live versions of a dataset that is not paused, and live releases, can be matched from the next call on.
        A broker's newest audit anchor only ever gives way to one of a higher sequence number, which that broker signed.
@dev URIs are their owner's own word and stand in events only; what they lead to is checked by digest, off chain.
     Datasets are numbered internally so that a version and its state fit one word, and the Market reads two words a
     version: that is what a match pays for. An anchor is signed under this contract's own EIP-712 domain, because
     the Registry doesn't know which markets read it.
"""

from . import signatures
from .interfaces import IRegistry

implements: IRegistry

event DatasetRegistered:
    dataset: indexed(bytes32)
    owner: indexed(address)
    broker: address
    uri: String[256]

event BrokerChanged:
    dataset: indexed(bytes32)
    broker: address
    uri: String[256]

event DatasetPaused:
    dataset: indexed(bytes32)

event DatasetResumed:
    dataset: indexed(bytes32)

event DatasetOffered:
    dataset: indexed(bytes32)
    newOwner: indexed(address)

event DatasetTransferred:
    dataset: indexed(bytes32)
    previousOwner: indexed(address)
    newOwner: indexed(address)

event VersionPublished:
    dataset: indexed(bytes32)
    version: indexed(bytes32)
    uri: String[512]

event VersionPaused:
    version: indexed(bytes32)

event VersionResumed:
    version: indexed(bytes32)

event VersionWithdrawn:
    version: indexed(bytes32)

event ReleaseRegistered:
    release: indexed(bytes32)
    author: indexed(address)
    uri: String[512]

event ReleasePaused:
    release: indexed(bytes32)

event ReleaseResumed:
    release: indexed(bytes32)

event ReleaseWithdrawn:
    release: indexed(bytes32)

event PoolRegistered:
    pool: indexed(address)
    uri: String[256]

event AuditLogAnchored:
    broker: indexed(address)
    sequence: uint256
    head: bytes32

LIVE: constant(uint256) = 1
PAUSED: constant(uint256) = 2
WITHDRAWN: constant(uint256) = 3

_ADDRESS_MASK: constant(uint256) = 2**160 - 1
_PAUSED_FLAG: constant(uint256) = 2**160
_STATE_BITS: constant(uint256) = 8
_STATE_MASK: constant(uint256) = 255
_TIME_BITS: constant(uint256) = 64
_TIME_MASK: constant(uint256) = 2**64 - 1
_MAX_SEQUENCE: constant(uint256) = 2**128 - 1
_DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_AUDIT_ANCHOR: constant(bytes32) = keccak256("AuditAnchor(address broker,uint256 sequence,bytes32 head)")

_CHAIN_ID: immutable(uint256)
_DOMAIN: immutable(bytes32)

_count: uint256
_number_of: HashMap[bytes32, uint256]   # dataset id -> its number, from 1
_id_of: HashMap[uint256, bytes32]       # number -> dataset id
_owners: HashMap[uint256, uint256]      # number -> owner in the low 160 bits, the paused flag above
_brokers: HashMap[uint256, address]     # number -> account that signs key receipts
_offered_to: HashMap[uint256, address]  # number -> who may accept the dataset
_versions: HashMap[bytes32, uint256]    # version -> number << 8 | state
_releases: HashMap[bytes32, uint256]    # release -> author << 8 | state
_pools: HashMap[address, bool]
_anchored: HashMap[address, uint256]    # broker -> sequence << 64 | block time of its newest audit anchor
_heads: HashMap[address, bytes32]       # broker -> digest of the audit entry with that sequence number


@deploy
def __init__():
    """
    @dev Keeps what the signatures of audit anchors are bound to: this chain and this contract
    """
    _CHAIN_ID = chain.id
    _DOMAIN = self._separator()


# datasets


@external
def registerDataset(salt: bytes32, broker: address, uri: String[256]) -> bytes32:
    """
    @notice Register a dataset of the caller
    @param salt The caller's own choice; the same salt gives the same id only to the same caller
    @param broker The account whose key receipts the dataset's owner stands for
    @param uri Where the broker answers
    @return The dataset's id, keccak256(abi_encode(caller, salt))
    """
    assert broker != empty(address), "registry: broker is zero"
    dataset: bytes32 = keccak256(abi_encode(msg.sender, salt))
    assert self._number_of[dataset] == 0, "registry: dataset already registered"
    number: uint256 = self._count + 1
    self._count = number
    self._number_of[dataset] = number
    self._id_of[number] = dataset
    self._owners[number] = convert(msg.sender, uint256)
    self._brokers[number] = broker
    log DatasetRegistered(dataset=dataset, owner=msg.sender, broker=broker, uri=uri)
    return dataset


@external
def setBroker(dataset: bytes32, broker: address, uri: String[256]):
    """
    @notice Name another broker, or another place where it answers; only the owner
    """
    number: uint256 = self._owned(self._number_of[dataset])
    assert broker != empty(address), "registry: broker is zero"
    self._brokers[number] = broker
    log BrokerChanged(dataset=dataset, broker=broker, uri=uri)


@external
def pauseDataset(dataset: bytes32):
    """
    @notice Keep every version of the dataset out of new deals; only the owner
    """
    number: uint256 = self._owned(self._number_of[dataset])
    assert self._owners[number] & _PAUSED_FLAG == 0, "registry: dataset already paused"
    self._owners[number] |= _PAUSED_FLAG
    log DatasetPaused(dataset=dataset)


@external
def resumeDataset(dataset: bytes32):
    """
    @notice Let the live versions of a paused dataset into new deals again; only the owner
    """
    number: uint256 = self._owned(self._number_of[dataset])
    assert self._owners[number] & _PAUSED_FLAG != 0, "registry: dataset not paused"
    self._owners[number] &= _ADDRESS_MASK
    log DatasetResumed(dataset=dataset)


@external
def transferDataset(dataset: bytes32, newOwner: address):
    """
    @notice Offer the dataset to another account, which has to accept; zero takes the offer back; only the owner
    """
    number: uint256 = self._owned(self._number_of[dataset])
    self._offered_to[number] = newOwner
    log DatasetOffered(dataset=dataset, newOwner=newOwner)


@external
def acceptDataset(dataset: bytes32):
    """
    @notice Become the owner of a dataset that was offered to the caller
    @dev Grants of the former owner can't be matched any more, since the Market checks them against the owner at match
    """
    number: uint256 = self._number_of[dataset]
    assert number != 0 and self._offered_to[number] == msg.sender, "registry: not offered to the caller"
    word: uint256 = self._owners[number]
    self._offered_to[number] = empty(address)
    self._owners[number] = (word & _PAUSED_FLAG) | convert(msg.sender, uint256)
    log DatasetTransferred(
        dataset=dataset, previousOwner=convert(word & _ADDRESS_MASK, address), newOwner=msg.sender
    )


# dataset versions


@external
def publishVersion(dataset: bytes32, version: bytes32, uri: String[512]):
    """
    @notice Register an immutable version of the caller's dataset; the first to register a version id has it
    @param version SHA-256 of the version's manifest
    @param uri Where the sealed files are
    """
    number: uint256 = self._owned(self._number_of[dataset])
    assert self._versions[version] == 0, "registry: version already published"
    self._versions[version] = (number << _STATE_BITS) | LIVE
    log VersionPublished(dataset=dataset, version=version, uri=uri)


@external
def pauseVersion(version: bytes32):
    """
    @notice Keep a version out of new deals; only the owner
    """
    number: uint256 = self._owned(self._versions[version] >> _STATE_BITS)
    assert self._versions[version] & _STATE_MASK == LIVE, "registry: version not live"
    self._versions[version] = (number << _STATE_BITS) | PAUSED
    log VersionPaused(version=version)


@external
def resumeVersion(version: bytes32):
    """
    @notice Let a paused version into new deals again; only the owner
    """
    number: uint256 = self._owned(self._versions[version] >> _STATE_BITS)
    assert self._versions[version] & _STATE_MASK == PAUSED, "registry: version not paused"
    self._versions[version] = (number << _STATE_BITS) | LIVE
    log VersionResumed(version=version)


@external
def withdrawVersion(version: bytes32):
    """
    @notice Keep a version out of new deals for ever; only the owner
    """
    number: uint256 = self._owned(self._versions[version] >> _STATE_BITS)
    assert self._versions[version] & _STATE_MASK != WITHDRAWN, "registry: version already withdrawn"
    self._versions[version] = (number << _STATE_BITS) | WITHDRAWN
    log VersionWithdrawn(version=version)


# app releases


@external
def registerRelease(release: bytes32, uri: String[512]):
    """
    @notice Register an app release with the caller as its author; the first to register a release id has it
    @param release Digest of the release document
    """
    assert self._releases[release] == 0, "registry: release already registered"
    self._releases[release] = (convert(msg.sender, uint256) << _STATE_BITS) | LIVE
    log ReleaseRegistered(release=release, author=msg.sender, uri=uri)


@external
def pauseRelease(release: bytes32):
    """
    @notice Keep a release out of new deals; only the author
    """
    author: uint256 = self._authored(release)
    assert self._releases[release] & _STATE_MASK == LIVE, "registry: release not live"
    self._releases[release] = author | PAUSED
    log ReleasePaused(release=release)


@external
def resumeRelease(release: bytes32):
    """
    @notice Let a paused release into new deals again; only the author
    """
    author: uint256 = self._authored(release)
    assert self._releases[release] & _STATE_MASK == PAUSED, "registry: release not paused"
    self._releases[release] = author | LIVE
    log ReleaseResumed(release=release)


@external
def withdrawRelease(release: bytes32):
    """
    @notice Keep a release out of new deals for ever; only the author
    """
    author: uint256 = self._authored(release)
    assert self._releases[release] & _STATE_MASK != WITHDRAWN, "registry: release already withdrawn"
    self._releases[release] = author | WITHDRAWN
    log ReleaseWithdrawn(release=release)


# pools


@external
def registerPool(uri: String[256]):
    """
    @notice Register the caller as a pool, or change where it answers
    """
    self._pools[msg.sender] = True
    log PoolRegistered(pool=msg.sender, uri=uri)


# audit anchors


@external
def anchorAuditLog(broker: address, sequence: uint256, head: bytes32, signature: Bytes[65]):
    """
    @notice Anchor the head of a broker's audit log; anyone may send what the broker signed, so it needs no money
    @param sequence The newest entry's number, over that of the anchor before
    @param head The newest entry's digest
    @param signature The broker's, of AuditAnchor(broker, sequence, head) under this contract's domain: 65 bytes, or 64
                     of EIP-2098; a broker is an account, so no ERC-1271
    """
    assert sequence > self._anchored[broker] >> _TIME_BITS, "registry: anchor not newer"
    assert sequence <= _MAX_SEQUENCE, "registry: anchor sequence out of range"
    digest: bytes32 = keccak256(
        concat(x"1901", self._domain(), keccak256(abi_encode(_AUDIT_ANCHOR, broker, sequence, head)))
    )
    # Recovering gives the zero account for a bad signature, so the zero account can't have signed.
    assert broker != empty(address) and signatures._recover(digest, signature) == broker, "registry: bad anchor signature"
    self._anchored[broker] = (sequence << _TIME_BITS) | (block.timestamp & _TIME_MASK)
    self._heads[broker] = head
    log AuditLogAnchored(broker=broker, sequence=sequence, head=head)


# views


@external
@view
def ownersOf(versions: DynArray[bytes32, 64]) -> DynArray[address, 64]:
    """
    @notice The owner of each dataset version; zero where it is unknown, paused or withdrawn, or its dataset is paused
    """
    owners: DynArray[address, 64] = []
    for version: bytes32 in versions:
        owners.append(self._live_owner(version))
    return owners


@external
@view
def isVersionLive(version: bytes32) -> bool:
    """
    @notice Whether a version can be matched now
    """
    return self._live_owner(version) != empty(address)


@external
@view
def datasetOf(version: bytes32) -> bytes32:
    """
    @notice The dataset of a version, whatever its state; zero when unknown
    """
    return self._id_of[self._versions[version] >> _STATE_BITS]


@external
@view
def ownerOfDataset(dataset: bytes32) -> address:
    """
    @notice The owner of a dataset, paused or not; zero when unknown
    """
    return convert(self._owners[self._number_of[dataset]] & _ADDRESS_MASK, address)


@external
@view
def brokerOf(dataset: bytes32) -> address:
    """
    @notice The broker of a dataset; zero when unknown
    """
    return self._brokers[self._number_of[dataset]]


@external
@view
def releaseAuthor(release: bytes32) -> address:
    """
    @notice The author of an app release; zero where it is unknown, paused or withdrawn
    """
    word: uint256 = self._releases[release]
    if word & _STATE_MASK != LIVE:
        return empty(address)
    return convert(word >> _STATE_BITS, address)


@external
@view
def isPool(account: address) -> bool:
    """
    @notice Whether the account has registered as a pool
    """
    return self._pools[account]


@external
@view
def auditAnchor(broker: address) -> (uint256, bytes32, uint256):
    """
    @notice A broker's newest audit anchor
    @return Sequence number, digest of the entry with that number, and block time; zeros without an anchor
    """
    word: uint256 = self._anchored[broker]
    return word >> _TIME_BITS, self._heads[broker], word & _TIME_MASK


@external
@view
def domainSeparator() -> bytes32:
    """
    @notice The EIP-712 domain separator of name "Heartify", version "1", on this chain, which audit anchors are signed under
    """
    return self._domain()


# internals


@internal
@view
def _separator() -> bytes32:
    """
    @dev The domain separator on the chain as it is now
    """
    return keccak256(abi_encode(_DOMAIN_TYPEHASH, keccak256("Heartify"), keccak256("1"), chain.id, self))


@internal
@view
def _domain() -> bytes32:
    """
    @dev Computed anew when a fork has changed the chain's id
    """
    if chain.id == _CHAIN_ID:
        return _DOMAIN
    return self._separator()


@internal
@view
def _owned(number: uint256) -> uint256:
    """
    @dev Give the dataset's number back, or revert unless the caller owns it; number 0 belongs to nobody
    """
    assert convert(self._owners[number] & _ADDRESS_MASK, address) == msg.sender, "registry: not the owner"
    return number


@internal
@view
def _authored(release: bytes32) -> uint256:
    """
    @dev Give the release's word without its state, or revert unless the caller is the author
    """
    author: uint256 = self._releases[release] >> _STATE_BITS
    assert convert(author, address) == msg.sender, "registry: not the author"
    return author << _STATE_BITS


@internal
@view
def _live_owner(version: bytes32) -> address:
    """
    @dev Two reads: the version's word, and the owner's word, which counts only without the paused flag
    """
    word: uint256 = self._versions[version]
    if word & _STATE_MASK != LIVE:
        return empty(address)
    owner: uint256 = self._owners[word >> _STATE_BITS]
    if owner & _PAUSED_FLAG != 0:
        return empty(address)
    return convert(owner, address)
