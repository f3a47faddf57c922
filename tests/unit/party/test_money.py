"""Amounts: exact whatever the token's decimals, and refused when they are no plain amounts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.chain.deployment import Deployment
from heartify.errors import UsageError
from heartify.party.money import format_amount, parse_amount


def market(decimals: int) -> Deployment:
    address = "0x" + "11" * 20
    return Deployment(
        chain_id=31337,
        rpc_url="http://127.0.0.1:8545",
        market=address,
        registry=address,
        token=address,
        token_symbol="HTT",
        token_decimals=decimals,
        stake_bps=1000,
        block=0,
        embedded=True,
        finality="latest",
    )


@pytest.mark.parametrize(
    ("text", "decimals", "base_units"),
    [
        ("12.5", 6, 12_500_000),
        ("0", 6, 0),
        (" 7 ", 0, 7),
        ("0.000001", 6, 1),
        ("1.50", 1, 15),
        ("12345678901.000000000000000001", 18, 12345678901000000000000000001),
        (str(2**256 - 1), 0, 2**256 - 1),
    ],
)
def test_amount_is_read_exactly(text, decimals, base_units):
    assert parse_amount(text, market(decimals)) == base_units


@pytest.mark.parametrize(
    ("base_units", "decimals", "shown"),
    [
        (12_500_000, 6, "12.5 HTT"),
        (0, 6, "0 HTT"),
        (1, 6, "0.000001 HTT"),
        (10**24, 6, "1000000000000000000 HTT"),
        (12345678901000000000000000001, 18, "12345678901.000000000000000001 HTT"),
        (2**256 - 1, 0, f"{2**256 - 1} HTT"),
    ],
)
def test_amount_is_shown_exactly(base_units, decimals, shown):
    assert format_amount(base_units, market(decimals)) == shown


@given(st.integers(0, 2**256 - 1), st.integers(0, 77))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_shown_reads_back(base_units, decimals):
    deployment = market(decimals)

    shown = format_amount(base_units, deployment)

    assert parse_amount(shown.removesuffix(" HTT"), deployment) == base_units


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "twelve",
            "-1",
            "1,5",
            "1e3",
            "1e999999",
            "NaN",
            "Infinity",
            "0.0000001",
            "1_000",
            "٣",
            "0x10",
            "1.",
            "+1",
        ),
        *("+1", "9" * 79, str(2**256)),
    ],
)
def test_what_is_no_plain_amount_is_refused(text):
    with pytest.raises(UsageError):
        parse_amount(text, market(6))
