"""How a deal ended, in words: what came of it, why, what to do about it, and what became of the money.

The words follow the market's rules: a withheld result is paid at the share each order states, a failure is the lab's to
pay for only when plan or data were at fault, silence is refunded.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal, cast

from heartify.errors import IntegrityError, UsageError
from heartify.lab.report.wording import FAILED, WITHHELD, Explanation
from heartify.lab.settlement import SettlementDocument
from heartify.protocol.outcomes import FIRST_UNPAID_CODE, FailureCode

Kind = Literal["delivered", "withheld", "failed", "reclaimed"]

_UNKNOWN_FAILURE = re.compile(r"code ([0-9]{1,3})")
_OUTCOME = re.compile(r"(delivered|withheld|failed|reclaimed)(?:: (.+))?", re.DOTALL)
_DISCLOSURE_CODE = re.compile(r"disclosure code ([0-9]{1,3})")


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """An outcome in words; `code` is what the receipt shows, empty for a delivered or unsigned one."""

    kind: Kind
    code: str
    headline: str
    explanation: Explanation
    money: str


def build_ending(outcome: str, settlement: SettlementDocument) -> Ending:
    """Put an outcome such as `withheld: disclosure code 4` into words.

    Raises:
        UsageError: the deal has not ended, or the outcome is unknown.
        IntegrityError: the settlement says otherwise.
    """
    kind, detail = _parse_outcome(outcome)
    settled_kind, settled_detail = _parse_outcome(settlement.outcome)
    if kind != settled_kind or (detail and settled_detail and detail != settled_detail):
        raise IntegrityError(f"the outcome is {outcome!r}, but the settlement says {settlement.outcome!r}")
    code = detail or settled_detail
    return Ending(kind, code, _HEADLINES[kind], _explain(kind, code), _money(kind, code, settlement))


def _parse_outcome(outcome: str) -> tuple[Kind, str]:
    match = _OUTCOME.fullmatch(outcome)
    if match is None:
        raise UsageError(f"a deal with outcome {outcome!r} can't be reported", hint="wait until the deal has ended")
    return cast("Kind", match[1]), match[2] or ""


_HEADLINES: dict[Kind, str] = {
    "delivered": "The result was delivered",
    "withheld": "The result was withheld",
    "failed": "The study failed",
    "reclaimed": "The deal was never settled, and its money was taken back",
}


def _explain(kind: Kind, code: str) -> Explanation:
    if kind == "withheld":
        match = _DISCLOSURE_CODE.fullmatch(code)
        unknown = Explanation("The disclosure rules refused the output.", "Look the code up in the disclosure rules.")
        return WITHHELD.get(int(match[1]), unknown) if match else unknown
    if kind == "failed" and not code:
        return Explanation(
            "The pool gave the deal back before its deadline, without a statement signed by an enclave.",
            "Hospitals' brokers that don't answer are the usual reason: ask them, then run the study again.",
        )
    if kind == "failed":
        return FAILED.get(
            code, Explanation("The enclave failed with a code that has no words here.", "Look the code up.")
        )
    if kind == "reclaimed":
        return Explanation("The deadline passed without a settlement.", "Run the study again, perhaps elsewhere.")
    return Explanation("", "")


def _money(kind: Kind, code: str, settlement: SettlementDocument) -> str:
    refunds = [row.shown for row in settlement.payments if row.role == "refund"]
    back = f"Refunded to the lab: {' + '.join(refunds)}." if refunds else "Nothing was refunded to the lab."
    return f"{settlement.locked_shown} had been locked for the deal. {_money_rule(kind, code)} {back}"


def _money_rule(kind: Kind, code: str) -> str:
    if kind == "delivered":
        return "Hospitals, app author and pool were paid as the table shows."
    if kind == "withheld":
        return (
            "The pool is paid for its work; each hospital and the app author get the share that their orders state for "
            "a withheld result; the rest goes back."
        )
    if kind == "reclaimed":
        return "After the deadline everything goes back, with the pool's stake on top."
    if _pool_is_paid(code):
        return "Plan or data were at fault, so the pool is paid when enough hospitals took part; the rest goes back."
    return "The lab pays nothing for a failure that lies with the pool, its machine or the brokers."


def _pool_is_paid(code: str) -> bool:
    match = _UNKNOWN_FAILURE.fullmatch(code)
    if match is not None:
        return int(match[1]) < FIRST_UNPAID_CODE
    return any(item.label == code and item.pool_is_paid for item in FailureCode)
