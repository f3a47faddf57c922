"""A generated clinical cohort of twenty columns in table form, batch by batch; no patient exists behind it.

Columns are what hospitals publish: ages, pressures, laboratory values with their usual decimals, indicators, a
category, two biomarkers without declared decimals, follow-up and outcome; a few per cent are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, DataDictionary, Level

SEED = 20261122
MISSING = 0.03

_WHOLE = {  # name: unit, minimum, maximum, mean, sd
    "age": ("a", 18, 89, 58, 12),
    "systolic": ("mm[Hg]", 60, 260, 132, 18),
    "diastolic": ("mm[Hg]", 30, 160, 80, 11),
    "heart_rate": ("/min", 30, 220, 72, 12),
    "weight": ("kg", 30, 250, 80, 16),
    "height": ("cm", 120, 220, 171, 10),
    "followup": ("d", 0, 4000, 1800, 700),
}
_DECIMAL = {  # name: unit, decimals, minimum, maximum, mean, sd
    "bmi": ("kg/m2", 1, 12, 70, 27, 5),
    "cholesterol": ("mmol/L", 2, 1, 15, 5.4, 1.1),
    "hdl": ("mmol/L", 2, 0.2, 5, 1.4, 0.4),
    "ldl": ("mmol/L", 2, 0.2, 12, 3.2, 1.0),
    "glucose": ("mmol/L", 1, 1, 40, 5.8, 1.5),
    "hba1c": ("%", 1, 3, 20, 5.8, 0.9),
    "creatinine": ("mg/dL", 2, 0.1, 15, 0.95, 0.3),
}
_REAL = {"nt_probnp": "pg/mL", "crp": "mg/L"}
_INDICATORS = {"diabetes": 0.12, "statin": 0.3, "cvd": 0.15}
_SMOKING = ("never", "former", "current")


def clinical_dictionary() -> DataDictionary:
    """Return the dictionary of the cohort: limits and decimals as a steward would declare them."""
    columns = [
        Column(name=name, title=name, datatype="integer", role="factor", unit=unit, minimum=low, maximum=high)
        for name, (unit, low, high, *_) in _WHOLE.items()
    ]
    columns += [
        Column(
            name=name,
            title=name,
            datatype="number",
            role="factor",
            unit=unit,
            decimals=decimals,
            minimum=low,
            maximum=high,
        )
        for name, (unit, decimals, low, high, *_) in _DECIMAL.items()
    ]
    columns += [
        Column(name=name, title=name, datatype="number", role="factor", unit=unit) for name, unit in _REAL.items()
    ]
    columns += [
        Column(name=name, title=name, datatype="boolean", role="outcome" if name == "cvd" else "factor")
        for name in _INDICATORS
    ]
    levels = tuple(Level(code=code, label=f"{code} smoker") for code in _SMOKING)
    columns.append(Column(name="smoking", title="Smoking", datatype="category", role="factor", levels=levels))
    return DataDictionary(title="Generated clinical cohort", description="no patient", columns=tuple(columns))


def clinical_batches(rows: int, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the cohort, or some of its columns, in batches; the same arguments give the same values."""
    random = np.random.default_rng(SEED)
    schema = table_schema(clinical_dictionary())
    wanted = names or schema.names
    for first in range(0, rows, BATCH_ROWS):
        yield _batch(random, min(BATCH_ROWS, rows - first), schema, wanted)


def _batch(random: np.random.Generator, rows: int, schema: pa.Schema, names: Sequence[str]) -> pa.RecordBatch:
    arrays = {name: _column(random, rows, name) for name in names}
    return pa.RecordBatch.from_arrays(list(arrays.values()), schema=pa.schema([schema.field(name) for name in names]))


def _column(random: np.random.Generator, rows: int, name: str) -> pa.Array:
    if name in _WHOLE:
        _, low, high, mean, sd = _WHOLE[name]
        return _known(random, np.clip(np.rint(random.normal(mean, sd, rows)), low, high).astype(np.int64))
    if name in _DECIMAL:
        _, decimals, low, high, mean, sd = _DECIMAL[name]
        steps = np.rint(random.normal(mean, sd, rows) * 10**decimals)
        return _known(random, np.clip(steps, low * 10**decimals, high * 10**decimals) / 10**decimals)
    if name in _REAL:
        return _known(random, random.lognormal(4.0, 1.2, rows))
    if name in _INDICATORS:
        return _known(random, random.random(rows) < _INDICATORS[name])
    indices = _known(random, random.choice(3, rows, p=[0.5, 0.3, 0.2]).astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(_SMOKING))


def _known(random: np.random.Generator, values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=random.random(len(values)) < MISSING)
