"""The encrypted dataset version against plain Parquet: writing, reading, size, memory.

    python bench/dataset.py [--rows 2000000] [--runs 5] [--folder out/bench]

Every run is a fresh process on one thread, forms alternate, medians are compared. Each reads everything once before it
is timed, so that imports and a cold disk count for none. `read` keeps what was read first, so that the memory is new,
as it is to whoever reads once; `read-again` lets it go, which spares those a lot whose allocator keeps memory (Arrow's
does, the system's doesn't). MB are those of the same table in memory (Arrow). Parquet is written by pyarrow with its
own defaults (dictionary encoding) and no codec, as the encrypted form has none; zstd, snappy and modular encryption
run beside it. Reading ends with arrays of all columns in memory; ours includes checking every digest, decryption, and
checking every value against the dictionary, and plain Parquet checks none of that. New memory in large pages can stall
on a machine whose memory is full of cached files. Progress is on stderr; one JSON line ends it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from clinical_cohort import clinical_batches, clinical_dictionary
from logistic import machine
from memory import peak_mb

from heartify.cohort.encrypted.chunks import open_encrypted_rows
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.protocol.canonical import encode_canonical, parse_canonical, to_hex
from heartify.protocol.manifest import Manifest, round_rows

KEY, NONCE, DATASET = bytes(range(32)), bytes(range(32, 64)), bytes(32)
THREE = ("age", "systolic", "cvd")
PARQUET = {
    "parquet": {"compression": "NONE"},
    "parquet-plain-encoding": {"compression": "NONE", "use_dictionary": False},
    "parquet-snappy": {"compression": "SNAPPY"},
    "parquet-zstd": {"compression": "ZSTD"},
    "parquet-encrypted": {"compression": "NONE"},
}
FORMS = ("ours", *PARQUET)


def write_ours(table: pa.Table | None, rows: int, folder: Path) -> None:
    """Write the encrypted form from a table, or without one straight from the generator."""
    dictionary = clinical_dictionary()
    writer = VersionWriter(dictionary, dataset=DATASET, version_nonce=NONCE, master_key=KEY, folder=folder)
    for batch in clinical_batches(rows) if table is None else table.to_batches():
        writer.append(batch)
    manifest = Manifest(
        dataset=to_hex(DATASET),
        previous=None,
        version_nonce=to_hex(NONCE),
        dictionary_digest=dictionary.digest(),
        report_digest=to_hex(DATASET),
        rows_rounded=round_rows(rows),
        columns=writer.finish(),
    )
    (folder / "manifest.json").write_bytes(encode_canonical(manifest))


def read_ours(folder: Path, columns: tuple[str, ...]) -> Any:
    """Read, verify and decrypt columns into arrays."""
    manifest = parse_canonical((folder / "manifest.json").read_bytes(), Manifest)
    keys = column_keys(KEY, manifest)
    return read_columns(manifest, clinical_dictionary(), columns, keys, lambda name: (folder / name).read_bytes())


def stream_ours(folder: Path) -> None:
    """Read all columns block by block, as a fit does that holds no whole column."""
    manifest = parse_canonical((folder / "manifest.json").read_bytes(), Manifest)
    dictionary = clinical_dictionary()
    names = manifest.column_names
    with open_encrypted_rows(
        "bench", manifest, dictionary, names, column_keys(KEY, manifest),
        lambda name: (folder / name).open("rb"), lambda values: ([], next(iter(values.values()))),
    ) as chunks:  # fmt: skip
        for number in range(chunks.chunks):
            chunks.load(number)


def write_parquet(form: str, table: pa.Table, folder: Path) -> None:
    """Write the table as one Parquet file."""
    options = dict(PARQUET[form])
    if form == "parquet-encrypted":
        options["encryption_properties"] = pe.create_encryption_properties(KEY, encryption_algorithm="AES_GCM_V1")
    pq.write_table(table, folder / "cohort.parquet", **options)


def read_parquet(form: str, folder: Path, columns: tuple[str, ...]) -> pa.Table:
    """Read columns of the Parquet file into memory."""
    properties = pe.create_decryption_properties(KEY) if form == "parquet-encrypted" else None
    pq.read_table(folder / "cohort.parquet", columns=list(columns), use_threads=False, decryption_properties=properties)


def worker(task: str, form: str, rows: int, folder: Path) -> dict[str, Any]:
    """Do one task in this process and measure it."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    target = folder / form
    if task == "write":
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        table = pa.Table.from_batches(clinical_batches(rows))
        seconds = _timed(
            lambda: write_ours(table, rows, target) if form == "ours" else write_parquet(form, table, target)
        )
        return {"seconds": seconds, "arrow_mb": table.nbytes / 1e6, "mb": _size(target) / 1e6}
    if task == "write-stream":
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return {"seconds": _timed(lambda: write_ours(None, rows, target)), "peak_mb": peak_mb()}
    if task == "read-stream":
        return {"seconds": _timed(lambda: stream_ours(target)), "peak_mb": peak_mb()}
    columns = THREE if task == "read-three" else tuple(c.name for c in clinical_dictionary().columns)
    read = read_ours if form == "ours" else functools.partial(read_parquet, form)
    kept = [read(target, columns)]
    if task == "read-again":
        kept.clear()
    seconds = _timed(lambda: kept.append(read(target, columns)))
    return {"seconds": seconds, "peak_mb": peak_mb()}


def run(task: str, form: str, rows: int, folder: Path) -> dict[str, Any]:
    """Do one task in a fresh process."""
    command = [sys.executable, __file__, "--worker", task, "--form", form, "--rows", str(rows), "--folder", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{task} {form} failed:\n{ran.stderr}")
    measured = json.loads(ran.stdout.splitlines()[-1])
    print(f"{task} {form}: {measured['seconds']:.3f} s", file=sys.stderr)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("out/bench/dataset"))
    parser.add_argument(
        "--worker", choices=["write", "read", "read-again", "read-three", "write-stream", "read-stream"]
    )
    parser.add_argument("--form", choices=FORMS, default="ours")
    arguments = parser.parse_args()
    if arguments.worker:
        measured = worker(arguments.worker, arguments.form, arguments.rows, arguments.folder)
        print(json.dumps(measured))
        return
    print(json.dumps(compare(arguments.rows, arguments.runs, arguments.folder)))


def compare(rows: int, runs: int, folder: Path) -> dict[str, Any]:
    """Run all tasks on all forms and compare medians with plain Parquet's."""
    results: dict[str, dict[str, Any]] = {form: {} for form in FORMS}
    written: dict[str, dict[str, Any]] = {}
    for task in ("write", "read", "read-again", "read-three"):
        seconds: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(runs):
            for form in FORMS:
                measured = run(task, form, rows, folder)
                seconds[form].append(measured["seconds"])
                if task == "write":
                    written[form] = measured
        for form in FORMS:
            results[form][f"{task}_seconds"] = round(statistics.median(seconds[form]), 4)
    arrow_mb = written["ours"]["arrow_mb"]
    for form, found in results.items():
        found["mb"] = round(written[form]["mb"], 2)
        for task in ("write", "read"):
            found[f"{task}_mb_per_s"] = round(arrow_mb / found[f"{task}_seconds"], 1)
    ours, plain = results["ours"], results["parquet"]
    streams = {task: run(task, "ours", rows, folder) for task in ("write-stream", "read-stream")}
    shutil.rmtree(folder)
    return {
        "benchmark": "dataset",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "rows": rows,
        "columns": len(clinical_dictionary().columns),
        "runs": runs,
        "arrow_mb": round(arrow_mb, 1),
        "write_mb_per_s": ours["write_mb_per_s"],
        "read_mb_per_s": ours["read_mb_per_s"],
        "write_ratio": round(plain["write_seconds"] / ours["write_seconds"], 3),
        "read_ratio": round(plain["read_seconds"] / ours["read_seconds"], 3),
        "read_again_ratio": round(plain["read-again_seconds"] / ours["read-again_seconds"], 3),
        "read_three_ratio": round(plain["read-three_seconds"] / ours["read-three_seconds"], 3),
        "size_ratio": round(ours["mb"] / plain["mb"], 3),
        "peak_write_mb": round(streams["write-stream"]["peak_mb"], 1),
        "peak_read_mb": round(streams["read-stream"]["peak_mb"], 1),
        "forms": results,
    }


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != "manifest.json")


if __name__ == "__main__":
    main()
