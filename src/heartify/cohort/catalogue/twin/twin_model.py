"""The rounded model of a cohort that a twin is drawn from: distributions, shares of gaps, correlations. Nothing else.

Made from the survey's sample and then independent of it: who drew rows from the model knows no more than the model.
The steward's excluded columns, and all columns of a cohort under 50 patients, come from the dictionary alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from heartify.cohort.catalogue.twin.dependence import positive_definite, rounded_correlations
from heartify.cohort.catalogue.twin.latent_values import FloatArray, has_levels, unit_step, values_of
from heartify.cohort.catalogue.twin.marginals import (
    LevelShares,
    Marginal,
    marginal_of,
    rounded_missing_share,
    undisclosed_marginal,
)
from heartify.cohort.catalogue.twin.normal_scores import NormalScores, normal_scores
from heartify.disclosure.cohort_rules import MIN_CELL, MIN_ROWS
from heartify.disclosure.rounding import round_count
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import round_rows

LEAST_ROWS, MOST_ROWS = 500, 5000
MAX_LATENT = 400
"""Columns and gaps whose correlations are kept, the first ones; a wider table's others are independent."""

_UNINFORMED_UNIT = 0.01


@dataclass(frozen=True, slots=True)
class TwinColumn:
    """One column of the model; `latent` and `gap` are its places among the correlated variables, None: independent."""

    column: Column
    marginal: Marginal
    missing_share: float
    unit: float
    latent: int | None = None
    gap: int | None = None


@dataclass(frozen=True, slots=True)
class TwinModel:
    """The published columns in the dictionary's order, their latent correlations, and the number of rows to draw."""

    columns: tuple[TwinColumn, ...]
    correlations: FloatArray
    rows: int


def estimate_model(
    sample: pa.Table, dictionary: DataDictionary, *, rows: int, exclude: Collection[str] = ()
) -> TwinModel:
    """Round a sample of a cohort of `rows` patients into a model."""
    twin_rows = min(max(round_rows(rows), LEAST_ROWS), MOST_ROWS)
    columns = dictionary.published_columns
    if rows < MIN_ROWS:
        return TwinModel(tuple(_uninformed(column) for column in columns), np.zeros((0, 0)), twin_rows)
    told = {
        column.name: values_of(column, sample.column(column.name)) for column in columns if column.name not in exclude
    }
    orders = _level_orders(columns, told)
    drafts = [_draft(column, told.get(column.name), orders.get(column.name)) for column in columns]
    latent = _latent_scores(drafts, told, orders)
    places = {name: place for place, name in enumerate(latent)}
    placed = tuple(
        TwinColumn(
            draft.column,
            draft.marginal,
            draft.missing_share,
            draft.unit,
            places.get((draft.column.name, "value")),
            places.get((draft.column.name, "gap")),
        )
        for draft in drafts
    )
    return TwinModel(placed, positive_definite(rounded_correlations(list(latent.values()))), twin_rows)


def _uninformed(column: Column) -> TwinColumn:
    unit = 1.0 if column.datatype != "number" else 10.0**-column.decimals if column.decimals is not None else 0.0
    return TwinColumn(column, undisclosed_marginal(column), 0.0, unit or _UNINFORMED_UNIT)


def _draft(column: Column, values: FloatArray | None, order: FloatArray | None) -> TwinColumn:
    if values is None:
        return _uninformed(column)
    known = values[~np.isnan(values)]
    # Without a missing code a gap has no spelling in a text file.
    share = rounded_missing_share(values.size, values.size - known.size) if column.missing_codes else 0.0
    if known.size < MIN_CELL:
        return TwinColumn(column, undisclosed_marginal(column), share, _uninformed(column).unit)
    return TwinColumn(column, marginal_of(column, known, order), share, unit_step(column, known))


def _level_orders(columns: tuple[Column, ...], told: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return each category's places on the latent axis: by the rounded mean outcome, where there is one.

    Levels of a category have no order of their own, and the outcome is what a rehearsal is about.
    """
    outcome = next((told[c.name] for c in columns if c.role == "outcome" and c.name in told), None)
    if outcome is None:
        return {}
    return {
        column.name: _order_by_outcome(told[column.name], outcome, len(column.levels))
        for column in columns
        if column.datatype == "category" and column.role != "outcome" and column.name in told
    }


def _order_by_outcome(values: FloatArray, outcome: FloatArray, levels: int) -> FloatArray:
    both = ~(np.isnan(values) | np.isnan(outcome))
    positions, shown = values[both].astype(np.int64), outcome[both]
    counts = np.bincount(positions, minlength=levels)
    means = np.bincount(positions, weights=shown, minlength=levels) / np.maximum(counts, 1)
    rounded = np.array([round_count(int(count)) for count in counts])
    # A level of fewer than 10 patients has no mean that may be told: it isn't in the twin anyway.
    return np.where(rounded >= MIN_CELL, np.round(means, 2), np.inf)


def _latent_scores(
    drafts: list[TwinColumn], told: Mapping[str, FloatArray], orders: Mapping[str, FloatArray]
) -> dict[tuple[str, str], NormalScores]:
    """Return the scores of all values, then of all gaps, that vary and may be told, up to MAX_LATENT."""
    found: dict[tuple[str, str], NormalScores] = {}
    for kind in ("value", "gap"):
        for draft in drafts:
            if len(found) == MAX_LATENT:
                return found
            name = draft.column.name
            if name not in told:
                continue
            scores = _value_scores(draft, told[name], orders.get(name)) if kind == "value" else None
            if kind == "gap" and 0.0 < draft.missing_share < 1.0:
                scores = normal_scores(np.isnan(told[name]).astype(np.float64))
            if scores is not None:
                found[name, kind] = scores
    return found


def _value_scores(draft: TwinColumn, values: FloatArray, order: FloatArray | None) -> NormalScores | None:
    if not draft.marginal.told:
        return None
    if not isinstance(draft.marginal, LevelShares):
        return normal_scores(values)
    kept = np.where(np.isin(values, draft.marginal.values), values, np.nan)
    if order is None or not has_levels(draft.column):
        return normal_scores(kept)
    known = ~np.isnan(kept)
    places = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    kept[known] = places[kept[known].astype(np.int64)]
    return normal_scores(kept)
