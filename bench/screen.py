"""A screen of 10,000 candidates at 70,000 patients, adjusted for 3 covariates: ours from encrypted data, plink2 plain.

    python bench/screen.py [--rows 70000] [--candidates 10000] [--runs 5] [--folder out/bench] [--skip-dataset]

Candidates are counts 0/1/2, the same for all. Every run is a fresh process timed from outside, start-up and reading
included, two threads each, taking turns:
  tiles    ours, float32, from one file of AES-256-GCM tiles (128 candidates each, int8): the form made for screens
  dataset  ours, float32, from the encrypted dataset version by its reader (one file of 2 bits a value for each column)
  arrays   ours, float32, plain int8 arrays from a file: what encryption costs, seen by what is left without it
  plink2   --glm no-firth and --glm (firth-fallback, its default), from .pgen of hard calls
Inside ours, `score_seconds` is the screen alone, `test_only_seconds` that of arrays already in memory. Ends with one
JSON line. The dictionary allows 4,096 columns, so the dataset is three versions or fewer of 4,000 columns.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the screen brings its own threads

import numpy as np

SEED, THREADS, TILE, COVARIATES, VERSION_COLUMNS, READ_COLUMNS = 20261122, 2, 128, 3, 4000, 500
OURS, PEERS = ("tiles", "dataset", "arrays"), ("plink2_no_firth", "plink2_firth_fallback")


# --- making the data, once


def prepare(folder: Path, rows: int, candidates: int, *, dataset: bool) -> None:
    if not (folder / "made.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder, rows, candidates)
        (folder / "made.json").write_text(json.dumps({"rows": rows, "candidates": candidates}))
    if dataset and not (folder / "dataset.json").exists():
        _make_dataset(folder, rows, candidates)


def _make(folder: Path, rows: int, candidates: int) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    rng = np.random.default_rng(SEED)
    x = np.column_stack([rng.normal(58, 10, rows), rng.integers(0, 2, rows), rng.normal(27, 4, rows)])
    eta = -1.6 + 0.05 * (x[:, 0] - 58) + 0.5 * x[:, 1] + 0.04 * (x[:, 2] - 27)
    key = secrets.token_bytes(32)
    cipher = AESGCM(key)
    (folder / "key.bin").write_bytes(key)
    frequencies = rng.uniform(0.02, 0.5, candidates)
    packed_codes = np.array([3, 2, 0], dtype=np.uint8)  # .bed: 11 no copy of A1, 10 one, 00 two
    with (
        (folder / "plain.i8").open("wb") as plain,
        (folder / "tiles.bin").open("wb") as tiles,
        (folder / "geno.bed").open("wb") as bed,
    ):
        bed.write(bytes([0x6C, 0x1B, 0x01]))
        for number, first in enumerate(range(0, candidates, TILE)):
            f = frequencies[first : first + TILE, None]
            counts = rng.binomial(2, f, (f.size, rows)).astype(np.int8)
            if number == 0:
                eta += 0.1 * (counts[:8] - 2 * f[:8]).sum(axis=0)
            counts.tofile(plain)
            nonce = secrets.token_bytes(12)
            tiles.write(nonce + cipher.encrypt(nonce, counts.tobytes(), number.to_bytes(4, "big")))
            codes = np.zeros((counts.shape[0], -(-rows // 4) * 4), dtype=np.uint8)
            codes[:, :rows] = packed_codes[counts]
            quads = codes.reshape(counts.shape[0], -1, 4)
            (quads[:, :, 0] | quads[:, :, 1] << 2 | quads[:, :, 2] << 4 | quads[:, :, 3] << 6).tofile(bed)
    y = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(float)
    base = np.column_stack([x, y]).tobytes()
    nonce = secrets.token_bytes(12)
    (folder / "base.bin").write_bytes(nonce + cipher.encrypt(nonce, base, b"base"))
    _write_plink_text(folder, x, y, candidates)
    if shutil.which("plink2"):
        arguments = ["--bfile", folder / "geno", "--make-pgen", "--out", folder / "geno", "--threads", str(THREADS)]
        subprocess.run(["plink2", *map(str, arguments)], check=True, capture_output=True)
    (folder / "geno.bed").unlink()


def _write_plink_text(folder: Path, covariates: np.ndarray, y: np.ndarray, candidates: int) -> None:
    people = [f"p{i}" for i in range(y.size)]
    (folder / "geno.fam").write_text("".join(f"{p} {p} 0 0 1 -9\n" for p in people))
    (folder / "geno.bim").write_text("".join(f"1 c{j} 0 {j + 1} A G\n" for j in range(candidates)))
    lines = (f"{p}\t{p}\t{int(v) + 1}\n" for p, v in zip(people, y, strict=True))
    (folder / "pheno.txt").write_text("#FID\tIID\tcvd\n" + "".join(lines))
    lines = (
        f"{p}\t{p}\t{row[0]!r}\t{row[1]!r}\t{row[2]!r}\n" for p, row in zip(people, covariates.tolist(), strict=True)
    )
    (folder / "covar.txt").write_text("#FID\tIID\tx1\tx2\tx3\n" + "".join(lines))


def _dictionary(first: int, last: int):
    from heartify.protocol.dictionary import Column, DataDictionary, Level

    levels = tuple(Level(code=str(k), label=f"{k} copies") for k in range(3))
    columns = [
        Column(name=f"c{j}", title=f"c{j}", datatype="category", role="factor", levels=levels)
        for j in range(first, last)
    ]
    outcome = Column(name="cvd", title="Disease", datatype="boolean", role="outcome")
    return DataDictionary(title="Screen", description="Generated", columns=(*columns, outcome))


def _make_dataset(folder: Path, rows: int, candidates: int) -> None:
    import pyarrow as pa

    from heartify.cohort.encrypted.column_crypto import KEY_BYTES, NONCE_BYTES, column_keys
    from heartify.cohort.encrypted.version_writer import VersionWriter
    from heartify.cohort.table_form import table_schema
    from heartify.protocol.canonical import encode_canonical, to_hex
    from heartify.protocol.manifest import Manifest, round_rows

    facts, data_set = [], b"\1" * 32
    plain = np.memmap(folder / "plain.i8", dtype=np.int8, mode="r", shape=(candidates, rows))
    for version, first in enumerate(range(0, candidates, VERSION_COLUMNS)):
        last = min(first + VERSION_COLUMNS, candidates)
        shape, nonce, master = (
            _dictionary(first, last),
            secrets.token_bytes(NONCE_BYTES),
            secrets.token_bytes(KEY_BYTES),
        )
        target = folder / f"version-{version}"
        target.mkdir(exist_ok=True)
        writer = VersionWriter(shape, dataset=data_set, version_nonce=nonce, master_key=master, folder=target)
        levels = pa.array([str(k) for k in range(3)])
        arrays = [
            pa.DictionaryArray.from_arrays(pa.array(counts.astype(np.int32)), levels) for counts in plain[first:last]
        ]
        table = pa.Table.from_arrays([*arrays, pa.array(np.zeros(rows, bool))], schema=table_schema(shape))
        for batch in table.to_batches(max_chunksize=65_536):
            writer.append(batch)
        manifest = Manifest(
            dataset=to_hex(data_set), previous=None, version_nonce=to_hex(nonce), dictionary_digest=shape.digest(),
            report_digest=to_hex(b"\0" * 32), rows_rounded=round_rows(rows), columns=writer.finish(),
        )  # fmt: skip
        (target / "manifest.json").write_bytes(encode_canonical(manifest))
        keys = column_keys(master, manifest)
        facts.append({"first": first, "last": last, "keys": {name: key.hex() for name, key in keys.items()}})
    (folder / "dataset.json").write_text(json.dumps(facts))


# --- one run of ours, in its own process


def child(mode: str, folder: Path, rows: int, candidates: int, precision: str) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from heartify.stats import CohortBlock
    from heartify.stats.screening import ScreenOptions, fit_null, screen

    cipher = AESGCM((folder / "key.bin").read_bytes())
    sealed = (folder / "base.bin").read_bytes()
    base = np.frombuffer(cipher.decrypt(sealed[:12], sealed[12:], b"base")).reshape(rows, COVARIATES + 1)
    null = fit_null([CohortBlock("one", base[:, :COVARIATES], base[:, COVARIATES])], ["x1", "x2", "x3"])
    if mode == "tiles":
        source = _tiles(folder, rows, candidates, cipher)
    elif mode == "dataset":
        source = _columns(folder, rows)
    elif mode == "arrays":
        source = _arrays(folder, rows, candidates)
    else:
        source = [load() for load in _arrays(folder, rows, candidates)]
    started = time.perf_counter()
    found = screen(null, source, ScreenOptions(precision=precision, threads=THREADS))
    seconds = time.perf_counter() - started
    np.save(folder / f"z-{mode}-{precision}.npy", found.z)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"score_seconds": seconds, "peak_mb": peak, "tested": found.tested, "lambda": found.lambda_gc}))


def _names(first: int, m: int) -> tuple[str, ...]:
    return tuple(f"c{j}" for j in range(first, first + m))


def _tiles(folder: Path, rows: int, candidates: int, cipher) -> Iterator:
    from heartify.stats.screening import CandidateBlock

    def loader(number: int, first: int, at: int, m: int):
        def load() -> CandidateBlock:
            with (folder / "tiles.bin").open("rb", buffering=0) as file:
                file.seek(at)
                sealed = file.read(28 + m * rows)
            data = cipher.decrypt(sealed[:12], memoryview(sealed)[12:], number.to_bytes(4, "big"))
            return CandidateBlock(_names(first, m), (np.frombuffer(data, np.int8).reshape(m, rows).T,))

        return load

    at = 0
    for number, first in enumerate(range(0, candidates, TILE)):
        m = min(TILE, candidates - first)
        yield loader(number, first, at, m)
        at += 28 + m * rows


def _columns(folder: Path, rows: int) -> Iterator:
    import msgspec

    from heartify.cohort.encrypted.reader import read_columns
    from heartify.protocol.manifest import Manifest
    from heartify.stats.screening import CandidateBlock

    def loader(manifest, shape, keys, target, names):
        def load() -> CandidateBlock:
            found = read_columns(manifest, shape, names, keys, lambda file: (target / file).read_bytes())
            counts = np.empty((len(names), rows), dtype=np.int8)
            for row, name in enumerate(names):
                counts[row] = found[name]
            return CandidateBlock(tuple(names), (counts.T,))

        return load

    for version, facts in enumerate(json.loads((folder / "dataset.json").read_text())):
        target = folder / f"version-{version}"
        manifest = msgspec.json.decode((target / "manifest.json").read_bytes(), type=Manifest)
        keys = {name: bytes.fromhex(key) for name, key in facts["keys"].items()}
        shape = _dictionary(facts["first"], facts["last"])
        for first in range(facts["first"], facts["last"], READ_COLUMNS):
            names = _names(first, min(READ_COLUMNS, facts["last"] - first))
            yield loader(manifest, shape, keys, target, names)


def _arrays(folder: Path, rows: int, candidates: int) -> Iterator:
    from heartify.stats.screening import CandidateBlock

    def loader(first: int, m: int):
        def load() -> CandidateBlock:
            counts = np.fromfile(folder / "plain.i8", np.int8, m * rows, offset=first * rows).reshape(m, rows)
            return CandidateBlock(_names(first, m), (counts.T,))

        return load

    for first in range(0, candidates, TILE):
        yield loader(first, min(TILE, candidates - first))


# --- the comparison


def run_ours(mode: str, options: argparse.Namespace, precision: str = "single") -> tuple[float, dict]:
    command = [sys.executable, __file__, "--child", mode, "--folder", str(options.folder), "--precision", precision]
    command += ["--rows", str(options.rows), "--candidates", str(options.candidates)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout.splitlines()[-1])


def run_plink(mode: str, folder: Path) -> float:
    arguments = ["--pfile", "geno", "--pheno", "pheno.txt", "--covar", "covar.txt", "--covar-variance-standardize"]
    arguments += ["--glm", "hide-covar", *(["no-firth"] if mode == "plink2_no_firth" else [])]
    arguments += ["--threads", str(THREADS), "--out", mode]
    started = time.perf_counter()
    done = subprocess.run(["plink2", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - started


def compare_with_plink(folder: Path, z: np.ndarray) -> float:
    """Return the correlation of our z with plink2's Wald z; the sign follows the tested allele."""
    lines = next(folder.glob("plink2_no_firth.cvd.glm.*")).read_text().splitlines()
    at = lines[0].split("\t").index("Z_STAT")
    theirs = np.array([float(line.split("\t")[at]) for line in lines[1:]])
    allele = lines[0].split("\t").index("A1")
    sign = np.array([1.0 if line.split("\t")[allele] == "A" else -1.0 for line in lines[1:]])
    return float(np.corrcoef(theirs * sign, z)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("out/bench"))
    parser.add_argument("--skip-dataset", action="store_true", help="leave out the 3 GB dataset version")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="single", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder / f"screen-{options.rows}x{options.candidates}"
    if options.child:
        child(options.child, folder, options.rows, options.candidates, options.precision)
        return

    prepare(folder, options.rows, options.candidates, dataset=not options.skip_dataset)
    modes = [mode for mode in OURS if mode != "dataset" or not options.skip_dataset]
    peers = [mode for mode in PEERS if shutil.which("plink2")]
    seconds: dict[str, list[float]] = {mode: [] for mode in (*modes, *peers)}
    inner: dict[str, list[dict]] = {mode: [] for mode in modes}
    for turn in range(options.runs):
        for mode in modes:
            wall, facts = run_ours(mode, options)
            seconds[mode].append(wall)
            inner[mode].append(facts)
        for mode in peers:
            seconds[mode].append(run_plink(mode, folder))
        print(f"run {turn + 1}: " + ", ".join(f"{m} {s[-1]:.2f} s" for m, s in seconds.items()), file=sys.stderr)
    alone = [run_ours("memory", options)[1]["score_seconds"] for _ in range(options.runs)]
    run_ours("tiles", options, "double")
    single, double = np.load(folder / "z-tiles-single.npy"), np.load(folder / "z-tiles-double.npy")
    medians = {mode: statistics.median(values) for mode, values in seconds.items()}
    summary = {
        "n": options.rows,
        "p": COVARIATES,
        "candidates": options.candidates,
        "seconds": {mode: round(value, 3) for mode, value in medians.items()},
        "score_seconds": {m: round(statistics.median(f["score_seconds"] for f in inner[m]), 3) for m in modes},
        "test_only_seconds": round(statistics.median(alone), 3),
        "ratio": {f"{mode}/{peer}": round(medians[mode] / medians[peer], 3) for mode in modes for peer in peers},
        "our_peak_mb": {mode: round(max(f["peak_mb"] for f in inner[mode])) for mode in modes},
        "max_z_difference_float32": float(np.max(np.abs(single - double))),
        "z_correlation_plink2": compare_with_plink(folder, double) if peers else None,
        "runs": options.runs,
        "threads": THREADS,
        "cores": os.cpu_count(),
        "machine": f"{platform.machine()} {platform.system()} {platform.release()}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
