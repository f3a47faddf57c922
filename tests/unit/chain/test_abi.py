from __future__ import annotations

import pytest

from heartify.chain.abi import encode_arguments, find_entry, load_artifact
from heartify.errors import ChainError, UsageError

LOWER = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
CHECKSUM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example of EIP-55


def test_addresses_are_spelled_with_their_checksum_at_every_depth() -> None:
    inputs = [
        {"name": "account", "type": "address"},
        {"name": "text", "type": "string"},
        {
            "name": "items",
            "type": "tuple[]",
            "components": [{"name": "owners", "type": "address[]"}, {"name": "n", "type": "uint256"}],
        },
    ]

    encoded = encode_arguments(inputs, [LOWER, LOWER, [([LOWER], 1), ([], 2)]])

    assert encoded == [CHECKSUM, LOWER, [([CHECKSUM], 1), ([], 2)]]


def test_a_wrong_number_of_arguments_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="1 arguments are needed, 2 were given"):
        encode_arguments([{"name": "a", "type": "uint256"}], [1, 2])


def test_a_function_that_the_contract_has_not_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no function burn"):
        find_entry([{"type": "function", "name": "mint", "inputs": []}], "function", "burn")


def test_an_artifact_that_is_not_shipped_is_a_chain_error() -> None:
    with pytest.raises(ChainError, match="Absent is missing or damaged") as caught:
        load_artifact("Absent")

    assert "compile_contracts" in str(caught.value.hint)
