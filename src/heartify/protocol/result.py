"""The study result that leaves an enclave: a closed schema, disclosure-checked, sealed for one lab.

`result.json` is this document. A field that is not listed here can't leave: unknown keys are refused when it is made
and when it is opened. Units: coefficients are log odds per clinical unit of the factor.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.errors import IntegrityError
from heartify.protocol.canonical import Digest, encode_canonical, parse_canonical, to_bytes
from heartify.protocol.sealing import length_prefixed

_PADDING_BYTES = 4096
MAX_RESULT_BYTES = 256 * 1024


class Weight(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One factor's weight: per clinical unit and per standard deviation; an odds ratio of absurd size is null."""

    factor: str
    unit: str
    beta: float
    se: float
    ci_low: float
    ci_high: float
    z: float
    p: str
    odds_ratio: float | None
    or_ci_low: float | None
    or_ci_high: float | None
    sd: float
    beta_per_sd: float
    se_per_sd: float
    odds_ratio_per_sd: float | None


class HospitalResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One hospital's part; counts and intercepts are null where the disclosure rules suppress them."""

    name: str
    dataset_version: Digest
    status: Literal["contributed", "left_out"]
    reason: Literal["too_few_patients", "outcomes_suppressed", "no_keys"] | None = None
    n: int | None = None
    events: int | None = None
    intercept: float | None = None
    intercept_se: float | None = None


class RuleResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The verdict of one disclosure rule."""

    rule: int
    verdict: Literal["pass", "fail"]


class StudyResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a lab gets for a delivered deal.

    `n` and `events` are sums of what is shown of the hospitals; `events_n` is the n of those whose events are shown.
    """

    format: Literal["heartify.result/1"] = "heartify.result/1"
    deal: Digest
    plan_digest: Digest
    simulated: bool
    model: Literal["logistic"] = "logistic"
    outcome: str
    n: int
    events: int | None
    events_n: int | None
    auc: float
    weights: Annotated[tuple[Weight, ...], msgspec.Meta(min_length=1)]
    hospitals: tuple[HospitalResult, ...]
    disclosure_profile: str
    disclosure: tuple[RuleResult, ...]
    notes: tuple[Literal["few_events_per_parameter", "outcomes_suppressed"], ...]


def result_info(deal: str) -> bytes:
    """Return the HPKE info that binds a sealed result to its deal."""
    return b"heartify/result/v1" + length_prefixed(to_bytes(deal))


def encode_result(result: StudyResult) -> bytes:
    """Encode a result for sealing: its length, its canonical JSON, and padding that hides the length.

    Raises:
        IntegrityError: the result is over MAX_RESULT_BYTES.
    """
    body = encode_canonical(result)
    if len(body) > MAX_RESULT_BYTES:
        raise IntegrityError(f"the result is over {MAX_RESULT_BYTES} bytes")
    framed = len(body).to_bytes(4, "big") + body
    return framed + bytes(-len(framed) % _PADDING_BYTES)


def parse_result(data: bytes) -> StudyResult:
    """Parse an opened result.

    Raises:
        DocumentError: it is not a result of this schema.
        IntegrityError: the padding is not what encode_result writes.
    """
    length = int.from_bytes(data[:4], "big")
    end = 4 + length
    if length > MAX_RESULT_BYTES or len(data) != end + -end % _PADDING_BYTES or any(data[end:]):
        raise IntegrityError("the opened result has a wrong length or padding")
    return parse_canonical(data[4:end], StudyResult)
