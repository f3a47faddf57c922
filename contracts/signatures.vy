# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Signature checks: EOA (65 bytes), EIP-2098 (64 bytes), ERC-1271 (whatever the wallet takes)
@license Apache-2.0
@notice Stateless module. ECDSA comes first, so that an account with EIP-7702 code still signs as itself. Only the low
        half of s is accepted (EIP-2), so nobody can make a second signature from the first.
"""

# half the order of secp256k1, rounded down
_MAX_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
_MAX_S_COMPACT: constant(uint256) = 2**255 - 1
_MAGIC: constant(bytes4) = 0x1626BA7E  # isValidSignature(bytes32,bytes)


@internal
@pure
def _recover(digest: bytes32, signature: Bytes[260]) -> address:
    """
    @dev Recover the account that signed, or zero
    """
    if len(signature) != 65 and len(signature) != 64:
        return empty(address)
    r: uint256 = extract32(signature, 0, output_type=uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    v: uint256 = 0
    if len(signature) == 65:
        v = convert(slice(signature, 64, 1), uint256)
    else:
        # EIP-2098: the top bit of s is the parity of y
        v = (s >> 255) + 27
        s = s & _MAX_S_COMPACT
    if s > _MAX_S:
        return empty(address)
    return ecrecover(digest, v, r, s)


@internal
@view
def _is_signed_by(signer: address, digest: bytes32, signature: Bytes[260]) -> bool:
    """
    @dev Whether the account, or the contract wallet, signed the digest; never true for the zero account
    """
    if signer == empty(address):
        return False
    if self._recover(digest, signature) == signer:
        return True
    if not signer.is_contract:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        signer,
        abi_encode(digest, signature, method_id=_MAGIC),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, bytes32) == convert(_MAGIC, bytes32)
