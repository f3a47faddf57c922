"""An account's money: what it has outside the market and in escrow; deposit and withdraw."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from heartify.chain.node import unsafe_fund
from heartify.chain.token import UnsafeTestTokenClient
from heartify.errors import UsageError
from heartify.party.keystore import keystore_address, load_secret
from heartify.party.market_access import MarketAccess, open_market

ACCOUNT_KEYSTORE = "account.json"
_FAUCET_ETHER = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Balance:
    """One account's money in base units of the token; `gas_wei` pays for transactions."""

    account: str
    tokens: int
    free: int
    locked: int
    gas_wei: int


def account_balance(home: Path) -> Balance:
    """Return the balance of a home's account, without opening its keystore."""
    access = open_market(home)
    account = keystore_address(home / ACCOUNT_KEYSTORE)
    web3 = access.connection.web3
    return Balance(
        account=account,
        tokens=access.token.balance_of(account),
        free=access.market.free_of(account),
        locked=access.market.locked_of(account),
        gas_wei=int(web3.eth.get_balance(web3.to_checksum_address(account))),
    )


def deposit(home: Path, password: bytes, amount: int) -> Balance:
    """Move tokens of a home's account into its free escrow balance.

    Raises:
        UsageError: the account has fewer tokens; nothing was sent.
    """
    access = open_market(home, load_secret(home / ACCOUNT_KEYSTORE, password))
    deposit_tokens(access, keystore_address(home / ACCOUNT_KEYSTORE), amount)
    return account_balance(home)


def deposit_tokens(access: MarketAccess, account: str, amount: int) -> None:
    """Approve and deposit; raises UsageError before anything is sent when the account has fewer tokens."""
    tokens = access.token.balance_of(account)
    if amount < 1 or tokens < amount:
        raise UsageError(
            f"the account {account} has {tokens} base units of the token, {amount} are to be deposited",
            hint="on the embedded chain, `heartify account faucet` gives test tokens",
        )
    access.token.approve(access.deployment.market, amount)
    access.market.deposit(amount)


def withdraw(home: Path, password: bytes, amount: int) -> Balance:
    """Move free escrow balance of a home's account back to its tokens.

    Raises:
        RevertError: there is less free balance.
    """
    open_market(home, load_secret(home / ACCOUNT_KEYSTORE, password)).market.withdraw(amount)
    return account_balance(home)


def unsafe_faucet(home: Path, password: bytes, amount: int) -> Balance:
    """Give a home's account gas and worthless test tokens; works on the embedded chain only.

    Raises:
        UsageError: the deployment is not embedded.
    """
    access = open_market(home)
    if not access.deployment.embedded:
        raise UsageError("there is no faucet on a real chain")
    account = keystore_address(home / ACCOUNT_KEYSTORE)
    unsafe_fund(access.deployment.rpc_url, account, _FAUCET_ETHER)
    if amount:  # gas alone needs no key
        sender = open_market(home, load_secret(home / ACCOUNT_KEYSTORE, password)).sender
        UnsafeTestTokenClient(access.connection, access.deployment.token, sender=sender).mint(account, amount)
    return account_balance(home)
