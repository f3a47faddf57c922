"""The deployment document: which chain, which contracts, how final a block must be.

Every party starts from this one document, so it is what they must agree on out of band. It holds no secret; an RPC
address with an access key in it is for the own machine only, and each party may use its own node.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from heartify.chain.rpc import Finality
from heartify.errors import DocumentError, InputError, UsageError
from heartify.protocol.canonical import Address, parse_json
from heartify.protocol.eip712 import Domain

Uint = Annotated[int, msgspec.Meta(ge=0)]


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One market on one chain. `block` is the first block that may hold its events; `stake_bps` is in 1/10,000."""

    format: Literal["heartify.deployment/1"] = "heartify.deployment/1"
    chain_id: Annotated[int, msgspec.Meta(ge=1)]
    rpc_url: str
    market: Address
    registry: Address
    token: Address
    token_symbol: str
    token_decimals: Annotated[int, msgspec.Meta(ge=0, le=77)]
    stake_bps: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    block: Uint
    embedded: bool
    finality: Finality
    app_release: dict[str, Any] | None = None
    trust: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def domain(self) -> Domain:
        """Return the EIP-712 domain that orders, deals and receipts of this market are signed under."""
        return Domain(self.chain_id, self.market)


def parse_deployment(data: bytes) -> Deployment:
    """Parse a deployment document.

    Raises:
        DocumentError: not one, or with unknown fields.
    """
    return parse_json(data, Deployment)


def load_deployment(path: Path) -> Deployment:
    """Load a deployment document from a file.

    Raises:
        InputError: the file can't be read or isn't a deployment.
    """
    try:
        return parse_deployment(path.read_bytes())
    except OSError as exc:
        raise InputError(
            f"the deployment {path} can't be read", hint="`heartify deploy` writes one; or ask the market's operator"
        ) from exc
    except DocumentError as exc:
        raise DocumentError(f"{path}: {exc.message}", hint="ask the market's operator for the document") from exc


def store_deployment(path: Path, deployment: Deployment) -> None:
    """Store a deployment in one step: a reader sees the old document or the new one, never a part.

    Raises:
        UsageError: the file can't be written there.
    """
    data = msgspec.json.format(msgspec.json.encode(deployment), indent=2) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace_file(path, data)
    except OSError as exc:
        raise UsageError(f"the deployment can't be written to {path}", hint="give another --out") from exc


def _replace_file(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
