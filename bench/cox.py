"""Cox regression from an encrypted dataset, against R survival::coxph and lifelines from plaintext, in the same run.

    python bench/cox.py [--rows 1000000] [--runs 5]

Every run is a fresh process; peers alternate; the medians count. A run's seconds are from the first byte read to the
fit with its standard errors: reading is in (for R readRDS of an uncompressed file, its fastest ordinary reading; for
lifelines Parquet; for us decryption, digests and checks), start-up and imports are out, of all three. Ours runs two
threads with BLAS pinned to one; peers get both cores. Refuses to print a result unless the coefficients of ours and of
R agree to 1e-6 standard errors. Ends with one JSON line on stdout.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "out" / "bench"
AGREEMENT_SE = 1e-6
THREADS = 2
ONE_BLAS_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
FREED_AT_ONCE = {  # whole columns go back to the system when freed, so that the peak is what is held
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": "4000000",
    "MALLOC_ARENA_MAX": "2",
}

R_CONVERT = """
a <- commandArgs(trailingOnly = TRUE)
saveRDS(read.csv(a[1]), a[2], compress = FALSE)
"""
R_FIT = """
suppressPackageStartupMessages(library(survival))
a <- commandArgs(trailingOnly = TRUE)
begin <- proc.time()[["elapsed"]]
data <- readRDS(a[1])
fit <- coxph(as.formula(paste("Surv(followup, event) ~", a[2])), data = data, ties = "efron")
seconds <- proc.time()[["elapsed"]] - begin
line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
out <- list(seconds = seconds, peak_mb = as.numeric(gsub("[^0-9]", "", line)) / 1024,
            coef = unname(coef(fit)), se = unname(sqrt(diag(vcov(fit)))), loglik = fit$loglik[2])
cat(jsonlite::toJSON(out, digits = NA, auto_unbox = TRUE))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worker", choices=("ours", "ours-float32", "lifelines"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "bench"))
    if arguments.worker:
        worker = lifelines_run if arguments.worker == "lifelines" else ours_run
        print(json.dumps(worker(arguments.rows, arguments.worker)))
        return
    compare(arguments.rows, arguments.runs)


def compare(rows: int, runs: int) -> None:
    from encrypted_cohort import FACTORS, make_cohort

    cohort = make_cohort(WORK, rows)
    commands = {
        "ours": worker_command("ours", rows),
        "ours-float32": worker_command("ours-float32", rows),
        "coxph": ["Rscript", "-e", R_FIT, str(plain_rds(cohort.plain)), "+".join(FACTORS)],
        "lifelines": worker_command("lifelines", rows),
    }
    results: dict[str, list[dict]] = {name: [] for name in commands}
    for run in range(runs):
        order = list(commands)[run % len(commands) :] + list(commands)[: run % len(commands)]
        for name in order:
            results[name].append(fresh_process(name, commands[name]))
            print(f"run {run + 1}: {name}: {results[name][-1]['seconds']:.3f} s", file=sys.stderr)
    report(rows, len(FACTORS), results)


def report(rows: int, p: int, results: dict[str, list[dict]]) -> None:
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
    wall = {name: statistics.median(run["process_seconds"] for run in runs) for name, runs in results.items()}
    peak = {name: max(run["peak_mb"] for run in runs) for name, runs in results.items()}
    distance = {name: distance_in_se(runs[-1], results["coxph"][-1]) for name, runs in results.items()}
    for name in results:
        print(
            f"{name:14} {seconds[name]:8.3f} s  process {wall[name]:8.3f} s  peak {peak[name]:7.0f} MB"
            f"  {distance[name]:.1e} SE from coxph",
            file=sys.stderr,
        )
    if distance["ours"] > AGREEMENT_SE:
        sys.exit(f"ours is {distance['ours']:.1e} standard errors from coxph: no result")
    line = {
        "bench": "cox",
        "n": rows,
        "p": p,
        "runs": len(results["ours"]),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "process_seconds": {name: round(value, 3) for name, value in wall.items()},
        "ratio_to_coxph": round(seconds["ours"] / seconds["coxph"], 4),
        "ratio_to_lifelines": round(seconds["ours"] / seconds["lifelines"], 4),
        "peak_mb": round(peak["ours"], 1),
        "peak_mb_float32": round(peak["ours-float32"], 1),
        "peak_mb_of_peers": {name: round(peak[name], 1) for name in ("coxph", "lifelines")},
        "se_from_coxph": distance["ours"],
        "se_from_coxph_float32": distance["ours-float32"],
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(line))


def distance_in_se(run: dict, referee: dict) -> float:
    pairs = zip(run["coef"], referee["coef"], referee["se"], strict=True)
    return max(abs(ours - theirs) / se for ours, theirs, se in pairs)


def worker_command(worker: str, rows: int) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), "--worker", worker, "--rows", str(rows)]


def fresh_process(name: str, command: Sequence[str]) -> dict:
    environment = os.environ | (ONE_BLAS_THREAD | FREED_AT_ONCE if name.startswith("ours") else {})
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed: {done.stderr[-800:]}")
    return json.loads(done.stdout) | {"process_seconds": time.perf_counter() - begin}


def plain_rds(parquet: Path) -> Path:
    """Return the cohort as R's own uncompressed file, made once."""
    from pyarrow import csv, int8
    from pyarrow import parquet as pq

    target = parquet.with_suffix(".rds")
    if not target.exists():
        table = pq.read_table(parquet)
        for index, field in enumerate(table.schema):
            if str(field.type) == "bool":
                table = table.set_column(index, field.name, table.column(index).cast(int8()))
        text = parquet.with_suffix(".csv")
        csv.write_csv(table, text)
        subprocess.run(["Rscript", "-e", R_CONVERT, str(text), str(target)], check=True)
        text.unlink()
    return target


def ours_run(rows: int, worker: str) -> dict:
    # pyarrow imports pandas when it finds it; it is no dependency of ours, and an enclave does not have it.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    from encrypted_cohort import EVENT, FACTORS, TIME, load_cohort, make_cohort

    from heartify.cohort.encrypted.reader import read_columns
    from heartify.stats.survival import SurvivalColumns, fit_cox

    cohort = load_cohort(make_cohort(WORK, rows).folder)

    begin = time.perf_counter()

    def read(column: str):
        return read_columns(cohort.manifest, cohort.dictionary, [column], cohort.keys, cohort.fetch)[column]

    with ThreadPoolExecutor(1) as reader:

        def read_ahead(columns: Sequence[str]) -> Iterator:
            """Decrypt the next column on a second thread while the present one is sorted."""
            coming = reader.submit(read, columns[0])
            for following in [*columns[1:], None]:
                present = coming.result()
                if following is not None:
                    coming = reader.submit(read, following)
                yield present

        follow_up, event = read_ahead((TIME, EVENT))
        source = SurvivalColumns("a", read_ahead(FACTORS), follow_up, event)
        del follow_up, event
        precision = "float32" if worker == "ours-float32" else "float64"
        fit = fit_cox([source], FACTORS, precision=precision, threads=THREADS)
        se = fit.se
    seconds = time.perf_counter() - begin
    return outcome(seconds, fit.coef.tolist(), se.tolist(), fit.loglik)


def lifelines_run(rows: int, _worker: str) -> dict:
    import warnings

    import pandas as pd
    from encrypted_cohort import EVENT, FACTORS, TIME, make_cohort
    from lifelines import CoxPHFitter

    path = make_cohort(WORK, rows).plain
    warnings.simplefilter("ignore")

    begin = time.perf_counter()
    frame = pd.read_parquet(path, columns=[*FACTORS, TIME, EVENT]).astype("float64")
    fit = CoxPHFitter().fit(frame, duration_col=TIME, event_col=EVENT)
    seconds = time.perf_counter() - begin
    coef, se = fit.params_[list(FACTORS)].tolist(), fit.standard_errors_[list(FACTORS)].tolist()
    return outcome(seconds, coef, se, float(fit.log_likelihood_))


def outcome(seconds: float, coef: list[float], se: list[float], loglik: float) -> dict:
    return {"seconds": seconds, "peak_mb": peak_mb(), "coef": coef, "se": se, "loglik": loglik}


def peak_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
