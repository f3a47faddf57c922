"""Draw a twin's rows from its model: a Gaussian copula, gaps included, enough outcomes, and no patient's row.

The generator is the caller's, seeded by fresh randomness: rows can't be computed again from the data or the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from heartify.cohort.catalogue.twin.copied_rows import PatientRows
from heartify.cohort.catalogue.twin.latent_values import FloatArray, fit_to_column, has_levels
from heartify.cohort.catalogue.twin.outcome_cells import fill_outcome_cells, has_enough_events
from heartify.cohort.catalogue.twin.twin_model import TwinColumn, TwinModel
from heartify.errors import InputError

ATTEMPTS = 20
LEAST_ROWS_LEFT = 100


def draw_twin(model: TwinModel, sample: Sequence[FloatArray], random: np.random.Generator) -> list[FloatArray]:
    """Draw the model's rows, a column each with NaN where missing; `sample` holds the patients' rows to stay clear of.

    Raises InputError when too few rows are left that are no patient's.
    """
    root = np.asarray(np.linalg.cholesky(model.correlations), dtype=np.float64)
    drawn = _draw(model, root, model.rows, random)
    fill_outcome_cells(model, drawn, random)
    rounded = (_rounded(entry, values) for entry, values in zip(model.columns, sample, strict=True))
    patients = PatientRows(tuple(rounded), random)
    for _ in range(ATTEMPTS):
        copies = patients.find_copies(drawn)
        if not copies.any():
            break
        for values, fresh in zip(drawn, _draw(model, root, int(copies.sum()), random), strict=True):
            values[copies] = fresh
        fill_outcome_cells(model, drawn, random)
    kept = ~patients.find_copies(drawn)
    drawn = [values[kept] for values in drawn]
    if drawn[0].size < LEAST_ROWS_LEFT or not has_enough_events(model, drawn):
        raise InputError(
            "no synthetic twin can be drawn: nearly every row that fits this cohort is a patient's",
            hint="so it is with few columns and rare combinations: merge levels, or publish without a twin",
        )
    return drawn


def _rounded(entry: TwinColumn, values: FloatArray) -> FloatArray:
    """Return a sample column as the twin would write it: a patient's row, rounded, is still a patient's."""
    if has_levels(entry.column) or entry.column.datatype != "number":
        return values
    return np.asarray(np.round(values / entry.unit) / round(1 / entry.unit))


def _draw(model: TwinModel, root: FloatArray, rows: int, random: np.random.Generator) -> list[FloatArray]:
    latent = random.standard_normal((rows, root.shape[0])) @ root.T
    return [_draw_column(entry, latent, rows, random) for entry in model.columns]


def _draw_column(entry: TwinColumn, latent: FloatArray, rows: int, random: np.random.Generator) -> FloatArray:
    normal = random.standard_normal(rows) if entry.latent is None else latent[:, entry.latent]
    gap = random.standard_normal(rows) if entry.gap is None else latent[:, entry.gap]
    values = entry.marginal.values_at(ndtr(normal))
    if not has_levels(entry.column):
        values = fit_to_column(entry.column, values, entry.unit)
    missing = ndtr(gap) >= 1.0 - entry.missing_share
    return np.where(missing, np.nan, values)
