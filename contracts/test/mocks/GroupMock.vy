# pragma version 0.4.3
# pragma evm-version cancun
"""
@title A group of requesters; `mode` makes it answer wrongly: 1 the number two, 2 too few bytes, 3 revert
@license Apache-2.0
"""

members: public(HashMap[address, bool])
mode: public(uint256)


@external
def setMember(account: address, member: bool):
    self.members[account] = member


@external
def setMode(mode: uint256):
    self.mode = mode


@external
@view
@raw_return
def isMember(account: address) -> Bytes[64]:
    assert self.mode != 3, "group: out of order"
    answer: uint256 = convert(self.members[account], uint256)
    if self.mode == 1:
        return abi_encode(2 * answer)
    if self.mode == 2:
        return slice(abi_encode(answer), 1, 31)
    return abi_encode(answer)
