"""`heartify audit`: for the outside auditor, who has a file, the market's deployment document and a node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from heartify.broker.audit.outside import audit_file
from heartify.chain.deployment import load_deployment
from heartify.cli import options
from heartify.cli.audit_tables import KnownRestores, parse_known, show_verdict
from heartify.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="The outside auditor: verify a key broker's exported audit log.")


@app.callback()
def _keep_group() -> None:
    """Verify a key broker's exported audit log, without a home and without a key."""


@app.command()
def verify(
    export: Annotated[Path, typer.Argument(help="The export, from `heartify hospital audit export`.")],
    deployment: Annotated[
        Path | None, typer.Option(help="The market's deployment document; without it the chain is left out.")
    ] = None,
    rpc_url: Annotated[str | None, typer.Option(help="A node of your own, in place of the document's.")] = None,
    broker: Annotated[str | None, typer.Option(help="The broker's account whose log it has to be.")] = None,
    known_restores: KnownRestores = None,
    as_json: options.Json = False,
) -> None:
    """Verify an exported audit log: digests, signature, anchors on chain, and every settled deal.

    Example: heartify audit verify cleveland-audit.jsonl --deployment deployment.json
    """
    market = None if deployment is None else load_deployment(deployment)
    if market is not None and rpc_url is not None:
        market = msgspec.structs.replace(market, rpc_url=rpc_url)
    known, account = parse_known(known_restores), None if broker is None else _account(broker)
    verdict = audit_file(export, market, broker=account, known_restores=known)
    show_verdict(verdict, as_json=as_json)


def _account(text: str) -> str:
    if re.fullmatch("0x[0-9a-f]{40}", text.lower()) is None:
        raise UsageError(
            "--broker is no account", hint="0x and 40 hex digits, as the Registry's brokerOf(dataset) says"
        )
    return text.lower()
