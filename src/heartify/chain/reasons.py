"""From what a node answers to a refused call to the contract's named reason ("market: expired").

web3 8 puts the revert data on its exceptions. The reason is decoded from these data first, since the texts differ
between node implementations; the text is the fallback for nodes that give no data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError

from heartify.errors import ChainError, HeartifyError, RevertError

NO_REASON = "no reason given"

_ERROR_SELECTOR = "08c379a0"  # Error(string)
_PANIC_SELECTOR = "4e487b71"  # Panic(uint256)
_PREFIXES = ("execution reverted:", "VM Exception while processing transaction: revert", "execution reverted")


@contextmanager
def chain_errors(what: str) -> Iterator[None]:
    """Turn web3's exceptions into the project's: a revert into RevertError, all else into ChainError naming `what`."""
    try:
        yield
    except HeartifyError:
        raise
    except ContractLogicError as exc:
        raise RevertError(reason_of(exc)) from exc
    except BadFunctionCallOutput as exc:
        raise ChainError(
            f"{what}: no such contract at the address", hint="check the deployment file and the node's chain"
        ) from exc
    except Web3RPCError as exc:
        raise _rpc_error(what, exc) from exc
    except (Web3Exception, TransactionNotFound) as exc:
        raise ChainError(f"{what}: {type(exc).__name__}") from exc


def reason_of(error: ContractLogicError) -> str:
    """Return the named reason of a revert, or NO_REASON."""
    data = error.data if isinstance(error.data, str) else ""
    decoded = decode_reason(data)
    if decoded is not None:
        return decoded
    text = str(error.message or "")
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            return text.removeprefix(prefix).strip() or NO_REASON
    return text if text and not text.startswith("0x") else NO_REASON


def decode_reason(data_hex: str) -> str | None:
    """Decode revert data of the forms Error(string) and Panic(uint256); None for any other."""
    data = data_hex.lower().removeprefix("0x")
    try:
        if data.startswith(_ERROR_SELECTOR):
            return str(decode(["string"], bytes.fromhex(data[8:]))[0])
        if data.startswith(_PANIC_SELECTOR):
            return f"panic 0x{int(decode(['uint256'], bytes.fromhex(data[8:]))[0]):02x}"
    except (DecodingError, ValueError):
        return None
    return None


def rpc_message(error: Web3RPCError) -> str:
    """Return the node's own words."""
    response = error.rpc_response
    detail = response.get("error") if isinstance(response, dict) else None
    return str(detail.get("message", "")) if isinstance(detail, dict) else str(error.message)


def _rpc_error(what: str, error: Web3RPCError) -> ChainError:
    message = rpc_message(error)
    if "insufficient funds" in message.lower():
        return ChainError(
            f"{what}: the account has not enough ether for the fee", hint="send some ether to the account"
        )
    return ChainError(f"{what}: the chain refused: {message}")
