"""`heartify account`: a party's money, in its wallet and in escrow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heartify.chain.deployment import load_deployment
from heartify.cli import options
from heartify.cli.output import show, table
from heartify.party.account import Balance, account_balance, deposit, unsafe_faucet, withdraw
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.money import format_amount, parse_amount

app = typer.Typer(no_args_is_help=True, help="A party's money: wallet, escrow, deposit, withdraw.")

Home = Annotated[Path, typer.Option(help="Home folder of the party.")]
Amount = Annotated[str, typer.Argument(help="Amount of the market's token, such as 12.5.")]


@app.command("show")
def show_account(home: Home, as_json: options.Json = False) -> None:
    """Show a party's account and balances.

    Example: heartify account show --home ./lab
    """
    _show(home, account_balance(home), as_json=as_json)


@app.command("deposit")
def deposit_amount(
    amount: Amount, home: Home, password_file: options.PasswordFile = None, as_json: options.Json = False
) -> None:
    """Move tokens from the wallet into escrow.

    Example: heartify account deposit 500 --home ./lab
    """
    base_units = _parse(home, amount)
    _show(home, deposit(home, options.password(password_file), base_units), as_json=as_json)


@app.command("withdraw")
def withdraw_amount(
    amount: Amount, home: Home, password_file: options.PasswordFile = None, as_json: options.Json = False
) -> None:
    """Move free escrow back to the wallet.

    Example: heartify account withdraw 100 --home ./lab
    """
    base_units = _parse(home, amount)
    _show(home, withdraw(home, options.password(password_file), base_units), as_json=as_json)


@app.command("faucet")
def unsafe_faucet_command(
    amount: Amount, home: Home, password_file: options.PasswordFile = None, as_json: options.Json = False
) -> None:
    """Get gas and worthless test tokens; on the embedded chain only.

    Example: heartify account faucet 2000 --home ./lab
    """
    base_units = _parse(home, amount)
    _show(home, unsafe_faucet(home, options.password(password_file), base_units), as_json=as_json)


def _parse(home: Path, amount: str) -> int:
    return parse_amount(amount, load_deployment(home / DEPLOYMENT_FILE))


def _show(home: Path, balance: Balance, *, as_json: bool) -> None:
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    rows = [
        ["account", balance.account],
        ["wallet", format_amount(balance.tokens, deployment)],
        ["escrow, free", format_amount(balance.free, deployment)],
        ["escrow, locked", format_amount(balance.locked, deployment)],
        ["gas", f"{balance.gas_wei / 10**18:.6f} ETH"],
    ]
    document = {
        "account": balance.account,
        "tokens": str(balance.tokens),
        "free": str(balance.free),
        "locked": str(balance.locked),
        "gas_wei": str(balance.gas_wei),
    }
    show(document, as_json=as_json, human=lambda console: console.print(table(["", ""], rows)))
