# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ERC-20 with permit for the embedded chain: ANYONE CAN MINT, so it is worth nothing
@license Apache-2.0
@notice EIP-20 and EIP-2612. Never deploy it where a token stands for money.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

implements: IERC20
implements: IERC20Detailed

NAME: constant(String[17]) = "Unsafe test token"
_DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
_HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

name: public(constant(String[17])) = NAME
symbol: public(constant(String[4])) = "TEST"
decimals: public(constant(uint8)) = 6

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])


@external
def mint(account: address, amount: uint256):
    """
    @notice Make tokens out of nothing, for anybody
    """
    assert account != empty(address), "token: account is zero"
    self.totalSupply += amount
    self.balanceOf[account] = unsafe_add(self.balanceOf[account], amount)  # at most the supply, which is checked
    log IERC20.Transfer(sender=empty(address), receiver=account, value=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Send tokens of the caller
    """
    self._transfer(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Send tokens that their owner lets the caller take; the largest allowance is never used up
    """
    allowed: uint256 = self.allowance[owner][msg.sender]
    assert allowed >= amount, "token: insufficient allowance"
    if allowed != max_value(uint256):
        self.allowance[owner][msg.sender] = unsafe_sub(allowed, amount)
    self._transfer(owner, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Let a spender take up to this amount of the caller's tokens
    """
    self._approve(msg.sender, spender, amount)
    return True


@external
def permit(owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Approve by the owner's EIP-2612 signature
    """
    assert block.timestamp <= deadline, "token: permit expired"
    assert convert(s, uint256) <= _HALF_ORDER, "token: bad permit"
    nonce: uint256 = self.nonces[owner]
    permitted: bytes32 = keccak256(abi_encode(_PERMIT_TYPEHASH, owner, spender, amount, nonce, deadline))
    digest: bytes32 = keccak256(concat(x"1901", self._domain(), permitted))
    assert owner != empty(address) and ecrecover(digest, v, r, s) == owner, "token: bad permit"
    self.nonces[owner] = nonce + 1
    self._approve(owner, spender, amount)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice The EIP-712 domain separator of permits
    """
    return self._domain()


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(_DOMAIN_TYPEHASH, keccak256(NAME), keccak256("1"), chain.id, self))


@internal
def _approve(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log IERC20.Approval(owner=owner, spender=spender, value=amount)


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "token: receiver is zero"
    assert self.balanceOf[sender] >= amount, "token: insufficient balance"
    self.balanceOf[sender] = unsafe_sub(self.balanceOf[sender], amount)
    self.balanceOf[receiver] = unsafe_add(self.balanceOf[receiver], amount)  # at most the supply
    log IERC20.Transfer(sender=sender, receiver=receiver, value=amount)
