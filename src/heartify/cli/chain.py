"""`heartify chain` and `heartify deploy`: the embedded chain, and opening a market on any chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import heartify
from heartify.chain.deployment import store_deployment
from heartify.chain.node import serve_forever, unsafe_fund
from heartify.chain.rpc import connect
from heartify.chain.sender import Sender
from heartify.cli import options
from heartify.cli.output import say, show, table
from heartify.market.launch import launch_market
from heartify.party.keystore import create_account, keystore_address, load_secret
from heartify.tee.app_release import build_app_release

app = typer.Typer(no_args_is_help=True, help="The embedded chain, for trials on one machine.")

DEFAULT_APP_PRICE = 20_000_000


@app.command()
def start(
    state: Annotated[Path, typer.Option(help="Folder that keeps the chain between starts.")],
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8545,
) -> None:
    """Run an embedded chain in the foreground until Ctrl-C.

    Example: heartify chain start --state ./chain
    """
    serve_forever(
        state,
        port=port,
        on_ready=lambda node: say(f"the embedded chain answers at {node.rpc_url} (test money only; Ctrl-C stops it)"),
    )


def deploy(
    home: Annotated[Path, typer.Option(help="Home of the operator, who becomes the app's author.")],
    out: Annotated[Path, typer.Option(help="Where to write the deployment document.")],
    rpc: Annotated[str, typer.Option(help="The chain's JSON-RPC address.")] = "http://127.0.0.1:8545",
    token: Annotated[str | None, typer.Option(help="Address of the ERC-20 token; needed on a real chain.")] = None,
    embedded: Annotated[bool, typer.Option(help="The chain is the embedded one: test token, free gas.")] = False,
    app_price: Annotated[int, typer.Option(help="App author's price for a run, in base units.")] = DEFAULT_APP_PRICE,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Deploy the contracts and open a market for this version of the Heartify app.

    Example: heartify deploy --home ./operator --out deployment.json --embedded
    """
    password = options.password(password_file)
    keystore = home / "account.json"
    account = keystore_address(keystore) if keystore.exists() else create_account(keystore, password)
    if embedded:
        unsafe_fund(rpc, account, 100)
    private_key = load_secret(keystore, password)
    sender = Sender(connect(rpc), private_key)
    release = build_app_release(heartify.__version__)
    deployment = launch_market(sender, private_key, release, app_price=app_price, embedded=embedded, token=token)
    store_deployment(out, deployment)
    store_deployment(home / "deployment.json", deployment)
    rows = [
        ["market", deployment.market],
        ["registry", deployment.registry],
        ["token", f"{deployment.token} ({deployment.token_symbol})"],
        ["app release", release.release_id()],
        ["document", str(out)],
    ]
    show(deployment, as_json=as_json, human=lambda console: console.print(table(["deployed", ""], rows)))
