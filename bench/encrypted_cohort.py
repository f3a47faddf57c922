"""A generated cohort as an encrypted dataset version on disk, and the same rows as plaintext Parquet for the peers.

    cohort = make_cohort(Path("out/bench"), rows=10_000_000)

Twelve factors in a realistic mix (five continuous numbers, four integers, three booleans), a 0/1 outcome, and a
follow-up time with an event indicator for survival benchmarks. Written part by part in bounded memory, once: the folder
is reused when it already holds the same rows. No patient exists behind it, so the keys lie beside the files.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heartify.cohort.encrypted.column_crypto import KEY_BYTES, NONCE_BYTES, column_keys
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.table_form import table_schema
from heartify.protocol.canonical import encode_canonical, to_hex
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import Manifest, round_rows

PART_ROWS = 4 * 1024 * 1024
SEED = 20261122
OUTCOME = "cvd"
TIME, EVENT = "followup", "event"

TRUE_WEIGHTS = {
    "bmi": 0.03,
    "cholesterol": 0.28,
    "hdl": -0.6,
    "creatinine": 0.5,
    "hba1c": 0.22,
    "age": 0.055,
    "systolic": 0.018,
    "diastolic": -0.004,
    "heart_rate": 0.012,
    "male": 0.6,
    "smoker": 0.65,
    "diabetes": 0.35,
}
"""Log odds (and log hazard) for each unit of each factor; the order of the factors."""

FACTORS = tuple(TRUE_WEIGHTS)
# Unit, limits and decimals: what a steward declares, and all that the stored form depends on.
_INTEGERS = {
    "age": ("a", 30, 89),
    "systolic": ("mm[Hg]", 80, 240),
    "diastolic": ("mm[Hg]", 40, 140),
    "heart_rate": ("/min", 40, 150),
}
_NUMBERS = {
    "bmi": ("kg/m2", 15, 60, 2),
    "cholesterol": ("mmol/L", 2, 12, 2),
    "hdl": ("mmol/L", 0.3, 4, 2),
    "creatinine": ("mg/dL", 0.3, 6, 2),
    "hba1c": ("%", 3.5, 14, 1),
}


@dataclass(frozen=True)
class EncryptedCohort:
    """An encrypted version in `folder`; `plain` is the same cohort as one plaintext Parquet file (None: not made)."""

    folder: Path
    rows: int
    manifest: Manifest
    dictionary: DataDictionary
    keys: dict[str, bytes]
    plain: Path | None

    def path(self, file: str) -> Path:
        return self.folder / file

    def open_file(self, file: str) -> BinaryIO:
        """Open one encrypted file for random access by reads, so that its pages do not count as our memory."""
        return (self.folder / file).open("rb", buffering=0)

    def fetch(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()


def make_cohort(folder: Path, rows: int, *, plain: bool = True, part_rows: int = PART_ROWS) -> EncryptedCohort:
    """Return the cohort of `rows` generated rows under `folder`, writing it first when it is not there."""
    target = folder / f"cohort-2-{rows}-{SEED}"
    if not (target / "keys.json").exists() or (plain and not (target / "plain.parquet").exists()):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        _write(target, rows, plain=plain, part_rows=part_rows)
    return load_cohort(target)


def load_cohort(folder: Path) -> EncryptedCohort:
    """Load what `make_cohort` wrote: the documents and the keys, not the data."""
    facts = json.loads((folder / "keys.json").read_text())
    plain = folder / "plain.parquet"
    return EncryptedCohort(
        folder,
        facts["rows"],
        msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest),
        dictionary(),
        {name: bytes.fromhex(key) for name, key in facts["keys"].items()},
        plain if plain.exists() else None,
    )


def dictionary() -> DataDictionary:
    return DataDictionary(
        title="Generated cohort of the benchmarks",
        description="No patient exists behind it",
        columns=(
            *(
                Column(name=n, title=n, datatype="number", role="factor", unit=u, minimum=low, maximum=high, decimals=d)
                for n, (u, low, high, d) in _NUMBERS.items()
            ),
            *(
                Column(name=n, title=n, datatype="integer", role="factor", unit=u, minimum=low, maximum=high)
                for n, (u, low, high) in _INTEGERS.items()
            ),
            *(Column(name=n, title=n, datatype="boolean", role="factor") for n in FACTORS[9:]),
            Column(name=OUTCOME, title="Disease", datatype="boolean", role="outcome"),
            Column(
                name=TIME,
                title="Follow-up",
                datatype="number",
                role="time",
                unit="a",
                minimum=0,
                maximum=15,
                decimals=4,
            ),
            Column(name=EVENT, title="Event", datatype="boolean", role="outcome"),
        ),
    )


def generate_part(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Return the columns of some rows in their stored types; factors are correlated through age and body mass."""

    def normal(mean: np.ndarray | float, sd: float, digits: int, low: float, high: float) -> np.ndarray:
        return np.clip(np.round(mean + sd * rng.standard_normal(rows), digits), low, high)

    age = normal(55, 11, 0, 30, 89)
    male = (rng.random(rows) < 0.55).astype(np.int32)
    smoker = (rng.random(rows) < 0.25).astype(np.int32)
    diabetes = (rng.random(rows) < 0.08 + 0.002 * (age - 30)).astype(np.int32)
    bmi = normal(26.8, 4.2, 2, 15, 60)
    systolic = normal(128 + 0.5 * (age - 55) + 0.6 * (bmi - 27), 15, 0, 80, 240)
    columns = {
        "bmi": bmi,
        "cholesterol": normal(5.4 + 0.01 * (age - 55), 1.0, 2, 2, 12),
        "hdl": normal(1.35 - 0.02 * (bmi - 27) - 0.2 * male, 0.3, 2, 0.3, 4),
        "creatinine": normal(0.85 + 0.15 * male + 0.003 * (age - 55), 0.2, 2, 0.3, 6),
        "hba1c": normal(5.5 + 1.2 * diabetes, 0.5, 1, 3.5, 14),
        "age": age.astype(np.int64),
        "systolic": systolic.astype(np.int64),
        "diastolic": normal(40 + 0.3 * systolic, 8, 0, 40, 140).astype(np.int64),
        "heart_rate": normal(71 + 2.5 * smoker, 10, 0, 40, 150).astype(np.int64),
        "male": male,
        "smoker": smoker,
        "diabetes": diabetes,
    }
    risk = sum(weight * columns[name] for name, weight in TRUE_WEIGHTS.items()) - 11.2
    columns[OUTCOME] = (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int32)
    event_time = rng.exponential(1.0, rows) / (0.05 * np.exp(risk))
    censoring = rng.uniform(1.0, 15.0, rows)
    columns[TIME] = np.round(np.minimum(event_time, censoring), 4)
    columns[EVENT] = (event_time <= censoring).astype(np.int32)
    return columns


def _write(folder: Path, rows: int, *, plain: bool, part_rows: int) -> None:
    shape, dataset, nonce = dictionary(), b"\1" * 32, secrets.token_bytes(NONCE_BYTES)
    master_key = secrets.token_bytes(KEY_BYTES)
    version = VersionWriter(
        shape, dataset=dataset, version_nonce=nonce, master_key=master_key, folder=folder, part_rows=part_rows
    )
    parquet: pq.ParquetWriter | None = None
    for first_row, columns in _parts(rows, part_rows):
        print(f"generating rows {first_row:,} of {rows:,}", file=sys.stderr)
        table = _table(shape, columns)
        if plain:
            parquet = parquet or pq.ParquetWriter(folder / "plain.parquet", table.schema)
            parquet.write_table(table, row_group_size=1024 * 1024)
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            version.append(batch)
    if parquet is not None:
        parquet.close()
    manifest = Manifest(
        dataset=to_hex(dataset),
        previous=None,
        version_nonce=to_hex(nonce),
        dictionary_digest=shape.digest(),
        report_digest=to_hex(b"\0" * 32),
        rows_rounded=round_rows(rows),
        columns=version.finish(),
    )
    (folder / "manifest.json").write_bytes(encode_canonical(manifest))
    facts = {"rows": rows, "keys": {name: key.hex() for name, key in column_keys(master_key, manifest).items()}}
    (folder / "keys.json").write_text(json.dumps(facts))


def _parts(rows: int, part_rows: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    first_rows = range(0, rows, part_rows)
    children = np.random.SeedSequence(SEED).spawn(len(first_rows))
    for first_row, child in zip(first_rows, children, strict=True):
        yield first_row, generate_part(np.random.default_rng(child), min(part_rows, rows - first_row))


def _table(shape: DataDictionary, columns: dict[str, np.ndarray]) -> pa.Table:
    schema = table_schema(shape)
    return pa.Table.from_arrays([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)
