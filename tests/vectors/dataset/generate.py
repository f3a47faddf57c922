"""Regenerate the dataset vector: `python tests/vectors/dataset/generate.py`.

Keys, bindings and the dictionary come out the same each time. The Parquet files, and so the manifest, do not, since
AES-GCM nonces are random: a new vector replaces the old one as a whole, and only with a new format version.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from heartify.cohort.dictionary_toml import parse_dictionary_toml
from heartify.cohort.encrypted.column_crypto import column_keys, file_aad_prefix
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.protocol.canonical import to_bytes

HERE = Path(__file__).parent
DATASET = bytes(range(32))
SALT, NONCE, MASTER_KEY = (bytes([start + i for i in range(32)]) for start in (0x20, 0x40, 0x60))
CSV = "chol,count,smoker,cp,visit\n233.5,3,1,1,2021-03-04\n,,,,\n199,-7,0,4,1969-12-31\n250.25,3,1,4,2020-02-29\n"
EXPECTED = {
    "chol": [233.5, None, 199.0, 250.25],
    "count": [3, None, -7, 3],
    "smoker": [1, None, 0, 1],
    "cp": ["1", None, "4", "4"],
    "visit": ["2021-03-04", None, "1969-12-31", "2020-02-29"],
}
DICTIONARY = """
title = "Dataset vector"
description = "Generated values, one column for each datatype"
columns = [
  { name = "chol", title = "Cholesterol", datatype = "number", role = "factor", unit = "mg/dL", maximum = 600 },
  { name = "count", title = "Count", datatype = "integer", role = "factor" },
  { name = "smoker", title = "Smokes", datatype = "boolean", role = "factor" },
  { name = "cp", title = "Chest pain", datatype = "category", role = "outcome", levels = [
    { code = "1", label = "typical" }, { code = "4", label = "none" }] },
  { name = "visit", title = "Visit", datatype = "date", role = "time" },
]
"""
# Each has one fault. `manifest_agrees`: size and digest in the manifest are those of the faulty file.
NEGATIVE = [
    {"name": "bit of a page", "column": "chol", "flip": 200, "manifest_agrees": False, "code": "file-digest"},
    {
        "name": "bit of a page, declared",
        "column": "chol",
        "flip": 200,
        "manifest_agrees": True,
        "code": "file-decryption",
    },
    {"name": "leading magic", "column": "chol", "flip": 0, "manifest_agrees": True, "code": "file-plaintext"},
    {"name": "truncated", "column": "chol", "keep": 1000, "manifest_agrees": False, "code": "file-size"},
    {"name": "other file", "column": "chol", "file_of": "count", "manifest_agrees": True, "code": "file-decryption"},
    {
        "name": "other file and its key",
        "column": "chol",
        "file_of": "count",
        "key_of": "count",
        "manifest_agrees": True,
        "code": "file-decryption",
    },
    {"name": "other key", "column": "chol", "key_of": "count", "manifest_agrees": False, "code": "file-decryption"},
]


def main() -> None:
    dictionary = parse_dictionary_toml(DICTIONARY, file="vector")
    table = parse_csv(CSV.encode(), dictionary, file="vector.csv")
    values = iter((SALT, NONCE, MASTER_KEY))
    store = open_store(str(HERE / "store"))
    version = write_version(
        table,
        dictionary,
        dataset="0x" + DATASET.hex(),
        previous=None,
        store=store,
        accepted_findings={"full-date:visit": "generated values of a vector"},
        random_bytes=lambda _: next(values),
    )
    for name in store.list(version.folder):
        (HERE / name).write_bytes(store.get(f"{version.folder}/{name}", max_bytes=10**6))
    shutil.rmtree(HERE / "store")
    keys = column_keys(version.master_key, version.manifest)
    nonce = to_bytes(version.manifest.version_nonce)
    vector = {
        "format": "heartify.dataset/1",
        "version_id": version.version_id,
        "dataset": DATASET.hex(),
        "version_nonce": NONCE.hex(),
        "master_key": MASTER_KEY.hex(),
        "columns": {
            name: {
                "key": key.hex(),
                "aad_prefix_of_part": {
                    str(part): file_aad_prefix(dataset=DATASET, version_nonce=nonce, column=name, part=part).hex()
                    for part in (0, 1)
                },
                "values": EXPECTED[name],
            }
            for name, key in keys.items()
        },
        "negative": NEGATIVE,
    }
    (HERE / "vector.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
