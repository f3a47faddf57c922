# pragma version 0.4.3
# pragma evm-version cancun
"""
@title An ERC-20 that misbehaves as told: 1 takes a fee, 2 answers False, 3 answers nothing, 4 calls back
@license Apache-2.0
@notice ANYONE CAN MINT. In mode 4 every transfer first calls `target` with `data`, and says in `broke_in` whether that
        call succeeded.
"""

balanceOf: public(HashMap[address, uint256])
mode: public(uint256)
target: public(address)
data: public(Bytes[8192])
broke_in: public(bool)
answer: public(Bytes[128])


@external
def mint(account: address, amount: uint256):
    self.balanceOf[account] += amount


@external
def setMischief(mode: uint256, target: address, data: Bytes[8192]):
    self.mode = mode
    self.target = target
    self.data = data


@external
@raw_return
def transfer(receiver: address, amount: uint256) -> Bytes[32]:
    return self._move(msg.sender, receiver, amount)


@external
@raw_return
def transferFrom(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    return self._move(owner, receiver, amount)


@internal
def _move(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    if self.mode == 4:
        self.broke_in, self.answer = raw_call(self.target, self.data, max_outsize=128, revert_on_failure=False)
    if self.mode == 2:
        return abi_encode(False)
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += amount
    if self.mode == 1:
        self.balanceOf[receiver] -= 1
    if self.mode == 3:
        return b""
    return abi_encode(True)
