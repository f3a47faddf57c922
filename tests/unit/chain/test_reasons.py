from __future__ import annotations

import pytest
from eth_abi.abi import encode
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, Web3RPCError, Web3ValidationError

from heartify.chain.reasons import NO_REASON, chain_errors, decode_reason, reason_of
from heartify.errors import ChainError, RevertError


def error_string(reason: str) -> str:
    return "0x08c379a0" + encode(["string"], [reason]).hex()


def test_a_named_reason_is_decoded_from_the_data() -> None:
    error = ContractLogicError("whatever the node says", data=error_string("market: expired"))

    assert reason_of(error) == "market: expired"


def test_a_panic_is_decoded_by_its_number() -> None:
    assert decode_reason("0x4e487b71" + encode(["uint256"], [0x11]).hex()) == "panic 0x11"


@pytest.mark.parametrize("data", ["", "0x", "0x08c379a0", "0x08c379a0ff", "0x12345678", "0x08c379a0zz"])
def test_data_that_are_no_reason_decode_to_none(data: str) -> None:
    assert decode_reason(data) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("execution reverted: registry: not the owner", "registry: not the owner"),
        ("execution reverted", NO_REASON),
        ("VM Exception while processing transaction: revert market: expired", "market: expired"),
        ("0x1234abcd", NO_REASON),
        (None, NO_REASON),
    ],
)
def test_without_data_the_text_is_used(text: str | None, expected: str) -> None:
    assert reason_of(ContractLogicError(text)) == expected


def test_a_revert_becomes_a_revert_error_with_its_reason() -> None:
    with pytest.raises(RevertError, match="market: not open") as caught, chain_errors("settling"):
        raise ContractLogicError("execution reverted: market: not open")

    assert caught.value.reason == "market: not open"


def test_a_fee_that_cannot_be_paid_says_so() -> None:
    answer = {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32003, "message": "Insufficient funds for gas * price + value"},
    }

    with pytest.raises(ChainError, match="not enough ether"), chain_errors("sending"):
        raise Web3RPCError("...", rpc_response=answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [BadFunctionCallOutput("..."), Web3RPCError("refused"), Web3ValidationError("bad")])
def test_every_other_exception_of_web3_becomes_a_chain_error_naming_the_act(error: Exception) -> None:
    with pytest.raises(ChainError, match="reading the balance"), chain_errors("reading the balance"):
        raise error


def test_errors_of_the_family_pass_unchanged() -> None:
    original = ChainError("the chain cannot be reached")

    with pytest.raises(ChainError) as caught, chain_errors("reading"):
        raise original

    assert caught.value is original
