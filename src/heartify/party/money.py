"""Amounts of the market's token: base units inside, decimal text outside. Never a float."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

from heartify.chain.deployment import Deployment
from heartify.errors import UsageError
from heartify.protocol.eip712 import MAX_UINT256

_AMOUNT = re.compile(r"[0-9]{1,78}(?:\.[0-9]{1,78})?", re.ASCII)
_DIGITS = 400  # more than any uint256 has on both sides of the point: decimal's default of 28 would round


def format_amount(base_units: int, deployment: Deployment) -> str:
    """Return an amount as people read it, such as `12.5 HTT`."""
    with localcontext(prec=_DIGITS):
        value = Decimal(base_units).scaleb(-deployment.token_decimals).normalize()
        return f"{value:f} {deployment.token_symbol}"


def parse_amount(text: str, deployment: Deployment) -> int:
    """Return base units of a decimal text.

    Raises:
        UsageError: not a number in plain digits, negative, finer than the token's decimals, or over 2**256 - 1.
    """
    if not _AMOUNT.fullmatch(text.strip()):
        raise UsageError(f"{text[:80]!r} is not an amount", hint="write it like 12.5")
    with localcontext(prec=_DIGITS):
        value = Decimal(text.strip()).scaleb(deployment.token_decimals)
        if value != value.to_integral_value():
            raise UsageError(f"{text[:80]!r} is finer than {deployment.token_decimals} decimals")
        if value > MAX_UINT256:
            raise UsageError(f"{text[:80]!r} is more than the chain can count")
        return int(value)
