"""The connection to an EVM node over JSON-RPC, and how final a block must be before it is believed.

The node is trusted by whoever configured it, and by nobody else: a broker reads deals from its own. An RPC address
may hold an access key in its path, so messages show only scheme, host and port.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import BlockIdentifier, RPCEndpoint, RPCResponse

from heartify.errors import ChainError, UsageError

Confirmations = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Finality: TypeAlias = Literal["latest", "finalized"] | Confirmations
"""Which block reads refer to: the newest, the newest that consensus finalized, or one with this many blocks on top."""

REACH_HINT = (
    "check that the node is running and that its address is right; `heartify chain start` starts an embedded one"
)


class _Provider(HTTPProvider):
    """web3's HTTP provider, whose failures of transport are ChainErrors without the full address."""

    def __init__(self, rpc_url: str, timeout_seconds: float) -> None:
        self.session = _session(rpc_url)
        # No retries: whether a transaction arrived must be decided by its nonce, not by sending it again.
        super().__init__(
            rpc_url, {"timeout": timeout_seconds}, session=self.session, exception_retry_configuration=None
        )

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        try:
            return super().make_request(method, params)
        except (requests.RequestException, OSError, ValueError, Web3Exception) as exc:
            where = shown_url(str(self.endpoint_uri))
            # `from None`: the cause's text holds the whole address, which may be secret.
            raise ChainError(f"the chain at {where} cannot be reached: {type(exc).__name__}", hint=REACH_HINT) from None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """A node that answered, and the id of its chain; safe to share between threads."""

    web3: Web3 = dataclasses.field(repr=False)
    rpc_url: str = dataclasses.field(repr=False)
    chain_id: int

    def head(self, finality: Finality = "latest") -> int:
        """Return the number of the newest block that is final enough."""
        if finality == "finalized":
            return int(self.web3.eth.get_block("finalized")["number"])
        newest = int(self.web3.eth.block_number)
        return newest if finality == "latest" else max(0, newest - finality)

    def block_identifier(self, finality: Finality) -> BlockIdentifier:
        """Return what a read at this finality is asked for."""
        return finality if isinstance(finality, str) else self.head(finality)

    def time_utc_seconds(self, finality: Finality = "latest") -> int:
        """Return the chain's clock, which deadlines and expiries are measured by."""
        return int(self.web3.eth.get_block(self.block_identifier(finality))["timestamp"])

    def request(self, method: str, params: list[Any]) -> Any:
        """Call a JSON-RPC method by name and return its result.

        Raises:
            ChainError: the node can't be reached or refuses.
        """
        answer = self.web3.provider.make_request(RPCEndpoint(method), params)
        if "error" in answer:
            raise ChainError(f"the chain refused {method}: {_error_text(answer['error'])}")
        return answer.get("result")

    def close(self) -> None:
        """Close the idle HTTP connections; a later call opens new ones."""
        provider = self.web3.provider
        if isinstance(provider, _Provider):
            provider.session.close()


def connect(rpc_url: str, *, timeout_seconds: float = 10.0, expected_chain_id: int | None = None) -> Connection:
    """Connect to a node and ask for its chain id.

    Raises:
        UsageError: not an http or https address.
        ChainError: it can't be reached, or serves another chain than `expected_chain_id`.
    """
    if urlsplit(rpc_url).scheme not in ("http", "https") or not urlsplit(rpc_url).hostname:
        raise UsageError("the address of the chain must start with http:// or https:// and name a host")
    provider = _Provider(rpc_url, timeout_seconds)
    web3 = Web3(provider)
    # Besu's and Clique's blocks carry more than 32 bytes of extra data, which web3 refuses without this.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    chain_id = _chain_id(web3, rpc_url)
    if expected_chain_id is not None and chain_id != expected_chain_id:
        provider.session.close()
        raise ChainError(
            f"the node at {shown_url(rpc_url)} serves chain {chain_id}, expected {expected_chain_id}",
            hint="point --rpc-url at a node of the deployment's chain",
        )
    return Connection(web3, rpc_url, chain_id)


def shown_url(rpc_url: str) -> str:
    """Return scheme, host and port only: path, query and user may hold an access key."""
    parts = urlsplit(rpc_url)
    host = parts.hostname or "?"
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def is_loopback(rpc_url: str) -> bool:
    """Tell whether the address is on this machine."""
    host = urlsplit(rpc_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _session(rpc_url: str) -> requests.Session:
    session = requests.Session()
    # A proxy from the environment is for the outside world; the own machine is reached directly.
    session.trust_env = not is_loopback(rpc_url)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=32))
    return session


def _chain_id(web3: Web3, rpc_url: str) -> int:
    try:
        return int(web3.eth.chain_id)
    except ChainError:
        raise
    except (Web3Exception, ValueError, TypeError) as exc:
        raise ChainError(f"{shown_url(rpc_url)} is not an Ethereum node", hint=REACH_HINT) from exc


def _error_text(error: object) -> str:
    return str(error.get("message", "no message")) if isinstance(error, dict) else "no message"
