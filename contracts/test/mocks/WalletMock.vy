# pragma version 0.4.3
# pragma evm-version cancun
"""
@title A contract wallet of two owners, who both sign (ERC-1271); it reads the Market before it answers
@license Apache-2.0
@notice `mode` makes it answer wrongly: 1 another value, 2 too few bytes, 3 revert.
"""

interface IMarket:
    def freeOf(account: address) -> uint256: view

MAGIC: constant(bytes32) = 0x1626ba7e00000000000000000000000000000000000000000000000000000000
OTHER: constant(bytes32) = 0x1626ba7f00000000000000000000000000000000000000000000000000000000

first: public(address)
second: public(address)
market: public(address)
mode: public(uint256)


@deploy
def __init__(first: address, second: address):
    self.first = first
    self.second = second


@external
def setMarket(market: address):
    self.market = market


@external
def setMode(mode: uint256):
    self.mode = mode


@external
def call(target: address, data: Bytes[4096]):
    raw_call(target, data)


@external
@view
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[260]) -> Bytes[64]:
    assert self.mode != 3, "wallet: out of order"
    if self.market != empty(address):
        assert staticcall IMarket(self.market).freeOf(self) < max_value(uint256)
    good: bool = len(signature) == 130
    if good:
        good = self._recover(digest, slice(signature, 0, 65)) == self.first
    if good:
        good = self._recover(digest, slice(signature, 65, 65)) == self.second
    if self.mode == 1 or not good:
        return abi_encode(OTHER)
    if self.mode == 2:
        return slice(MAGIC, 0, 4)
    return abi_encode(MAGIC)


@internal
@pure
def _recover(digest: bytes32, signature: Bytes[65]) -> address:
    r: uint256 = extract32(signature, 0, output_type=uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    return ecrecover(digest, convert(slice(signature, 64, 1), uint256), r, s)
