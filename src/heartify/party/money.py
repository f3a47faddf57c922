"""Amounts of the market's token: base units inside, decimal text outside. Never a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from heartify.chain.deployment import Deployment
from heartify.errors import UsageError


def format_amount(base_units: int, deployment: Deployment) -> str:
    """Return an amount as people read it, such as `12.5 HTT`."""
    value = Decimal(base_units).scaleb(-deployment.token_decimals).normalize()
    return f"{value:f} {deployment.token_symbol}"


def parse_amount(text: str, deployment: Deployment) -> int:
    """Return base units of a decimal text.

    Raises:
        UsageError: not a number, negative, or finer than the token's decimals.
    """
    try:
        value = Decimal(text.strip()).scaleb(deployment.token_decimals)
    except InvalidOperation as exc:
        raise UsageError(f"{text!r} is not an amount", hint="write it like 12.5") from exc
    if not value.is_finite() or value < 0 or value != value.to_integral_value():
        raise UsageError(f"{text!r} is negative, or finer than {deployment.token_decimals} decimals")
    return int(value)
