"""Write a checked table as one immutable, encrypted dataset version.

Runs in the hospital on plaintext. Publication findings stop it unless the steward accepted each in writing; ids are not
written at all. Each version has a fresh nonce and master key; each column and part is one Parquet file, AES-256-GCM
throughout (AES_GCM_V1, footer too), under the column's key and an AAD prefix that is not stored. Rows keep their order,
so that columns stay aligned. Nothing is visible in the store before everything is there. The master key is returned,
never stored or logged: give it to the hospital's broker.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from heartify.cohort.encrypted.column_crypto import KEY_BYTES, NONCE_BYTES, column_key, file_aad_prefix
from heartify.cohort.encrypted.stored_form import (
    ROWS_FIELD,
    StoredArray,
    encode_row_count,
    has_valid_values,
    stored_form,
    stored_schema,
)
from heartify.cohort.lint.publication import PublicationReport, check_publishable
from heartify.cohort.storage.store import Store, version_folder
from heartify.cohort.table_form import check_table
from heartify.errors import InputError, UsageError
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import (
    DICTIONARY_FILE,
    MANIFEST_FILE,
    MAX_PART_ROWS,
    PADDING_ROWS,
    ROW_GROUP_ROWS,
    ColumnFile,
    Manifest,
    padded_row_count,
    round_rows,
)

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class WrittenVersion:
    """What publishing gives back: the public manifest, and two things that stay in the hospital."""

    manifest: Manifest
    version_id: str
    report: PublicationReport = field(repr=False)
    master_key: bytes = field(repr=False)

    @property
    def folder(self) -> str:
        """The version's folder in the store."""
        return version_folder(self.version_id)


def write_version(
    table: pa.Table,
    dictionary: DataDictionary,
    *,
    dataset: str,
    previous: str | None,
    store: Store,
    accepted_findings: Mapping[str, str] | None = None,
    part_rows: int = MAX_PART_ROWS,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> WrittenVersion:
    """Check, encrypt and store a table (in `table_form`) as a version of `dataset` following `previous`.

    `dataset` and `previous` are digests as hex; `accepted_findings` maps a finding's name to the written reason.
    `part_rows` is a multiple of 512. Raises InputError (table, findings), UsageError, ServiceError (store); then
    the store is as it was.
    """
    if part_rows % PADDING_ROWS or not 0 < part_rows <= MAX_PART_ROWS:
        raise UsageError(f"part_rows must be a multiple of {PADDING_ROWS}, at most {MAX_PART_ROWS}")
    check_table(table, dictionary)
    report = check_publishable(table, dictionary, accepted_findings or {}, salt=random_bytes(NONCE_BYTES))
    nonce, master_key = random_bytes(NONCE_BYTES), random_bytes(KEY_BYTES)
    with store.staging() as staging:
        version = _VersionInProgress(to_bytes(dataset), nonce, master_key, part_rows, store, staging)
        manifest = Manifest(
            dataset=dataset,
            previous=previous,
            version_nonce=to_hex(nonce),
            dictionary_digest=dictionary.digest(),
            report_digest=report.digest(),
            rows_rounded=round_rows(table.num_rows),
            columns=version.put_columns(table, dictionary),
        )
        store.put(f"{staging}/{DICTIONARY_FILE}", encode_canonical(dictionary))
        store.put(f"{staging}/{MANIFEST_FILE}", encode_canonical(manifest))
        version_id = manifest.version_id()
        store.publish(staging, version_folder(version_id))
    return WrittenVersion(manifest=manifest, version_id=version_id, report=report, master_key=master_key)


@dataclass(frozen=True, slots=True)
class _VersionInProgress:
    dataset: bytes
    nonce: bytes
    master_key: bytes = field(repr=False)
    part_rows: int
    store: Store
    staging: str

    def put_columns(self, table: pa.Table, dictionary: DataDictionary) -> tuple[ColumnFile, ...]:
        """Encrypt and store all columns but ids, one part at a time."""
        files: list[ColumnFile] = []
        for column in dictionary.published_columns:
            key = column_key(self.master_key, dataset=self.dataset, version_nonce=self.nonce, column=column.name)
            values = table.column(column.name)
            for part, first_row in enumerate(range(0, max(1, len(values)), self.part_rows)):
                stored = _to_stored(values.slice(first_row, self.part_rows), column)
                data = self._encrypt(stored, column, part, key)
                files.append(
                    ColumnFile(
                        column=column.name,
                        part=part,
                        first_row=first_row,
                        padded_rows=padded_row_count(len(stored)),
                        size=len(data),
                        digest=sha256_digest(data),
                    )
                )
                self.store.put(f"objects/{files[-1].object_name}", data)
        return tuple(files)

    def _encrypt(self, values: StoredArray, column: Column, part: int, key: bytes) -> bytes:
        prefix = file_aad_prefix(dataset=self.dataset, version_nonce=self.nonce, column=column.name, part=part)
        properties = pe.create_encryption_properties(
            key, aad_prefix=prefix, store_aad_prefix=False, encryption_algorithm="AES_GCM_V1", plaintext_footer=False
        )
        return encode_part(values, column, properties)


def encode_part(values: StoredArray, column: Column, properties: pe.FileEncryptionProperties) -> bytes:
    """Encode and encrypt one part of a column; the size depends on the padded row count and the type alone."""
    schema = stored_schema(column)
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="NONE",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        data_page_version="1.0",
        encryption_properties=properties,
    ) as parquet:
        table = pa.Table.from_arrays([_with_padding(values, column)], schema=schema)
        parquet.write_table(table, row_group_size=ROW_GROUP_ROWS)
        parquet.add_key_value_metadata({ROWS_FIELD: encode_row_count(len(values))})
    return sink.getvalue()


def _to_stored(values: pa.ChunkedArray, column: Column) -> StoredArray:
    """Convert to the stored form.

    Raises InputError when a value is outside of the dictionary's limits (a source other than CSV may deliver one).
    """
    form = stored_form(column)
    if column.datatype == "category":
        chunks = [chunk.indices for chunk in values.chunks]
        values = pa.chunked_array(chunks, pa.int32())
    numbers = values.cast(form.arrow_type)
    filler = pa.scalar(np.nan if form.missing is None else form.missing, form.arrow_type)
    stored: StoredArray = pc.fill_null(numbers, filler).to_numpy()
    if not has_valid_values(stored, column) or (form.missing is not None and _has_reserved_value(numbers, filler)):
        raise InputError(f"column '{column.name}': a value is outside the dictionary's limits", hint="correct either")
    return stored


def _has_reserved_value(numbers: pa.ChunkedArray, reserved: pa.Scalar) -> bool:
    return bool(pc.any(pc.equal(numbers, reserved)).as_py())


def _with_padding(values: StoredArray, column: Column) -> pa.Array:
    """Return the values followed by missing ones up to the next step of 512 rows."""
    form = stored_form(column)
    padding = pa.repeat(
        pa.scalar(np.nan if form.missing is None else form.missing, form.arrow_type),
        padded_row_count(len(values)) - len(values),
    )
    return pa.concat_arrays([pa.array(values, form.arrow_type), padding])
