"""The parts of a study plan that say what is modelled: outcome, follow-up, factors, and the kind of model."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}\Z")]
ColumnName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]

StandardErrors = Literal["model", "robust", "hospital"]


class OutcomeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The event: a row where `column` equals a level (or code), or is above a number. Exactly one of the two."""

    column: ColumnName
    equals: str | None = None
    above: float | None = None


class FollowUpSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a patient was followed: a duration to event or censoring, in the unit of `time`.

    `entry` is the time of delayed entry. `competing` is the event that precludes the outcome. `horizon` is the time at
    which absolute risk is judged.
    """

    time: ColumnName
    entry: ColumnName | None = None
    competing: OutcomeSpec | None = None
    horizon: Annotated[float, msgspec.Meta(gt=0, lt=2**53)] | None = None

    def columns(self) -> tuple[str, ...]:
        """Return the columns that it reads."""
        entry = (self.entry,) if self.entry is not None else ()
        return (self.time, *entry, *((self.competing.column,) if self.competing else ()))


class FactorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One factor, in one of four forms.

    The column as it is; the indicator of one of its levels (`equals`); all levels of a category against one
    (`reference`); or a restricted cubic spline with so many knots (`spline`), at Harrell's quantiles or where `knots`
    says.
    """

    name: Name
    column: ColumnName
    equals: str | None = None
    reference: str | None = None
    spline: Annotated[int, msgspec.Meta(ge=3, le=7)] | None = None
    knots: Annotated[tuple[float, ...], msgspec.Meta(max_length=7)] = ()


class InteractionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pre-specified interaction: the products of the columns of two factors."""

    first: Name
    second: Name


class AnalysisSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The model of the weights.

    Logistic regression has an intercept for each hospital; Cox regression a baseline hazard for each hospital, and for
    each combination of `strata`. `estimation` "auto" takes Firth's penalised likelihood, with the model's errors, where
    the outcome is separated. `standard_errors` "hospital" needs ten contributing hospitals.
    """

    model: Literal["logistic", "cox"] = "logistic"
    estimation: Literal["auto", "maximum-likelihood", "firth"] = "auto"
    standard_errors: StandardErrors = "model"
    ties: Literal["efron", "breslow"] = "efron"
    strata: Annotated[tuple[ColumnName, ...], msgspec.Meta(max_length=4)] = ()
