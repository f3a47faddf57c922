"""`synthetic-twin.csv`: the twin as a text file that the same parser reads as a hospital's own, marked in every row.

The first column, `synthetic`, says SYNTHETIC on each line, so that no copy of a part of the file can pass for patients.
Whoever parses one trusts nothing: the mark, the shape and every value are checked.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa

from heartify.cohort.catalogue.twin.drawing import draw_twin
from heartify.cohort.catalogue.twin.latent_values import FloatArray, values_of
from heartify.cohort.catalogue.twin.twin_model import TwinModel, estimate_model
from heartify.cohort.sources.csv_source import parse_csv
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

TWIN_FILE = "synthetic-twin.csv"
MARK_COLUMN = "synthetic"
MARK = "SYNTHETIC"
MAX_TWIN_BYTES = 256 * 1024 * 1024

_EPOCH = dt.date(1970, 1, 1)


def build_twin(
    sample: pa.Table,
    dictionary: DataDictionary,
    *,
    rows: int,
    random: np.random.Generator,
    exclude: Collection[str] = (),
) -> bytes:
    """Build the twin of a cohort of `rows` patients from a random sample of it (all patients when they are few).

    Raises InputError when every row that could be drawn is a patient's, or a column has the mark's name.
    """
    if any(column.name.lower() == MARK_COLUMN for column in dictionary.columns):
        raise InputError(f"a column is called '{MARK_COLUMN}', as the mark of synthetic rows is", hint="rename it")
    model = estimate_model(sample, dictionary, rows=rows, exclude=exclude)
    real = [values_of(entry.column, sample.column(entry.column.name)) for entry in model.columns]
    return encode_twin(model, dictionary, draw_twin(model, real, random))


def encode_twin(model: TwinModel, dictionary: DataDictionary, drawn: Sequence[FloatArray]) -> bytes:
    """Write drawn columns as CSV: the mark, then all columns of the dictionary in its order, ids numbered."""
    texts = {
        entry.column.name: _texts(entry.column, values, entry.unit)
        for entry, values in zip(model.columns, drawn, strict=True)
    }
    rows = drawn[0].size
    columns = [[MARK] * rows]
    columns += [texts[c.name] if c.role != "id" else _ids(rows) for c in dictionary.columns]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([MARK_COLUMN, *(column.name for column in dictionary.columns)])
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue().encode()


def parse_twin(data: bytes, dictionary: DataDictionary, *, max_bytes: int = MAX_TWIN_BYTES) -> pa.Table:
    """Parse a twin into the table form of the dictionary, without the mark.

    Raises InputError when a row isn't marked as synthetic, or the file doesn't follow the dictionary.
    """
    if len(data) > max_bytes:
        raise InputError(f"{TWIN_FILE}: larger than {max_bytes} bytes")
    _check_marks(data)
    return parse_csv(data, dictionary, file=TWIN_FILE, ignore=(MARK_COLUMN,))


def _check_marks(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise InputError(f"{TWIN_FILE}: not UTF-8") from exc
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        marked = header[:1] == [MARK_COLUMN] and all(row[:1] == [MARK] for row in rows)
    except csv.Error as exc:
        raise InputError(f"{TWIN_FILE}: not readable as CSV") from exc
    if not marked:
        raise InputError(
            f"{TWIN_FILE}: a row isn't marked as synthetic",
            hint=f"the first column must be '{MARK_COLUMN}' and say {MARK} in every row: this may be patients' data",
        )


def _ids(rows: int) -> list[str]:
    return [f"S{number:06d}" for number in range(1, rows + 1)]


def _texts(column: Column, values: FloatArray, unit: float) -> list[str]:
    gap = "" if "" in column.missing_codes or not column.missing_codes else column.missing_codes[0]
    known = iter(_known_texts(column, values[~np.isnan(values)], unit))
    return [gap if missing else next(known) for missing in np.isnan(values).tolist()]


def _known_texts(column: Column, known: FloatArray, unit: float) -> Iterator[str]:
    if column.datatype == "category":
        return (column.level_codes[int(value)] for value in known)
    if column.datatype == "date":
        return ((_EPOCH + dt.timedelta(days=int(value))).isoformat() for value in known)
    decimals = max(0, -round(np.log10(unit)))
    return (f"{value:.{decimals}f}" for value in known)
