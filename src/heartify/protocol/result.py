"""The study result that leaves an enclave: a closed schema, disclosure-checked, sealed for one lab.

`result.json` is this document. A field that is not listed here can't leave: unknown keys are refused when it is made
and when it is opened. Units: coefficients are log odds (or log hazards) per clinical unit of the factor. What a table
may be called and hold is the disclosure rules' closed list (docs/reference/result.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.errors import IntegrityError
from heartify.protocol.canonical import Digest, encode_canonical, parse_canonical, to_bytes
from heartify.protocol.sealing import length_prefixed

_PADDING_BYTES = 4096
MAX_RESULT_BYTES = 512 * 1024
MAX_TABLES = 64

Cell = str | int | float | None


class Weight(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One column's weight: per clinical unit and per standard deviation; a ratio of absurd size is null.

    `term` is the plan's factor (or interaction) that the column belongs to; `factor` is the column's own name, the same
    for a factor of one column.
    """

    term: str
    factor: str
    unit: str
    beta: float
    se: float
    ci_low: float
    ci_high: float
    z: float
    p: str
    ratio: float | None
    ratio_ci_low: float | None
    ratio_ci_high: float | None
    sd: float
    beta_per_sd: float
    se_per_sd: float
    ratio_per_sd: float | None


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


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the closed list: its columns' names, and rows of cells, null where suppressed or not estimable."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Skipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An analysis that the plan asked for and the data don't bear."""

    analysis: str
    reason: Literal["not_estimable", "too_few_patients", "too_few_hospitals", "too_many_terms", "small_cell"]


class StudyResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a lab gets for a delivered deal.

    `n` and `events` are sums of what is shown of the hospitals; `events_n` is the n of those whose events are shown.
    A ratio is an odds ratio for the logistic model and a hazard ratio for the Cox model. `auc` is the logistic model's,
    `concordance` the Cox model's, both in the data of the fit.
    """

    format: Literal["heartify.result/2"] = "heartify.result/2"
    deal: Digest
    plan_digest: Digest
    simulated: bool
    model: Literal["logistic", "cox"] = "logistic"
    estimation: Literal["maximum-likelihood", "firth"] = "maximum-likelihood"
    standard_errors: Literal["model", "robust", "hospital"] = "model"
    imputations: int = 0
    outcome: str
    n: int
    events: int | None
    events_n: int | None
    auc: float | None = None
    concordance: float | None = None
    weights: Annotated[tuple[Weight, ...], msgspec.Meta(min_length=1)]
    hospitals: tuple[HospitalResult, ...]
    tables: Annotated[tuple[Table, ...], msgspec.Meta(max_length=MAX_TABLES)] = ()
    skipped: tuple[Skipped, ...] = ()
    disclosure_profile: str
    disclosure: tuple[RuleResult, ...]
    notes: tuple[Literal["few_events_per_parameter", "outcomes_suppressed"], ...]

    def table(self, name: str) -> Table | None:
        """Return the table of that name, or None if the result has none."""
        return next((table for table in self.tables if table.name == name), None)


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
