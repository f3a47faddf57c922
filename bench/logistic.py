"""Logistic regression with standard errors: ours from the encrypted dataset, the peers from plaintext Parquet.

    python bench/logistic.py [--rows 10000000] [--runs 5] [--folder out/bench]

Every run is a fresh process, tools alternate, medians are compared. Time is wall time from the first byte read to
coefficients with standard errors, imports excluded for all. Ours includes opening, verification of every digest and
decryption, on two threads with BLAS on one; the peers have two cores. Progress is on stderr; one JSON line ends it.
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
from pathlib import Path
from typing import Any

THREADS = 2
RUNS = 5
TOOLS = ("ours-float32", "ours-float64", "glum", "scikit-learn")
PEERS = TOOLS[2:]


def run_tool(tool: str, folder: Path) -> dict[str, Any]:
    """Run one tool in a fresh process and return what it measured of itself."""
    blas_threads = "1" if tool.startswith("ours") else str(THREADS)
    environment = {**os.environ, "OMP_NUM_THREADS": blas_threads, "OPENBLAS_NUM_THREADS": blas_threads}
    command = [sys.executable, __file__, "--worker", tool, "--folder", str(folder)]
    started = time.perf_counter()
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{tool} failed:\n{ran.stderr}")
    measured = json.loads(ran.stdout.splitlines()[-1])
    return measured | {"process_seconds": time.perf_counter() - started}


def measure(tool: str, folder: Path) -> dict[str, Any]:
    """Fit with one tool, in this process."""
    fit = {"glum": _fit_glum, "scikit-learn": _fit_sklearn}.get(tool) or _ours(tool.removeprefix("ours-"))
    run = fit(folder)
    started, cpu = time.perf_counter(), time.process_time()
    coef, se = run()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    # Not ru_maxrss, which counts the parent's memory as well: the kernel takes it over at the exec of a child.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mb = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    measured = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb}
    return measured | {"coef": [float(value) for value in coef], "se": [float(value) for value in se]}


def _ours(precision: str) -> Any:
    def prepare(folder: Path) -> Any:
        import numpy as np
        from encrypted_cohort import FACTORS, OUTCOME, load_cohort

        from heartify.cohort.encrypted.chunks import open_encrypted_rows
        from heartify.stats.streaming import fit_streamed_logistic

        def encode(columns: Any) -> Any:
            return [columns[name] for name in FACTORS], columns[OUTCOME]

        def run() -> Any:
            cohort = load_cohort(folder)
            with open_encrypted_rows(
                "generated",
                cohort.manifest,
                cohort.dictionary,
                (*FACTORS, OUTCOME),
                cohort.keys,
                cohort.open_file,
                encode,
                real_type=np.float32 if precision == "float32" else np.float64,
            ) as rows:
                fit = fit_streamed_logistic([rows], FACTORS, precision=precision, threads=THREADS)
            return fit.coef, fit.se

        return run

    return prepare


def _load_plain(folder: Path) -> Any:
    import numpy as np
    import pyarrow.parquet as pq
    from encrypted_cohort import FACTORS, OUTCOME

    table = pq.read_table(folder / "plain.parquet", columns=[*FACTORS, OUTCOME])
    factors = np.empty((table.num_rows, len(FACTORS)), order="F")
    for j, name in enumerate(FACTORS):
        factors[:, j] = table.column(name).to_numpy()
    return factors, table.column(OUTCOME).to_numpy().astype(np.float64)


def _fit_glum(folder: Path) -> Any:
    import numpy as np
    import pandas as pd  # noqa: F401 - glum's and pyarrow's, imported before the clock starts
    from glum import GeneralizedLinearRegressor

    def run() -> Any:
        factors, outcome = _load_plain(folder)
        model = GeneralizedLinearRegressor(family="binomial", alpha=0).fit(factors, outcome)
        covariance = model.covariance_matrix(X=factors, y=outcome, robust=False, expected_information=True)
        return np.concatenate(([model.intercept_], model.coef_)), np.sqrt(np.diag(covariance))

    return run


def _fit_sklearn(folder: Path) -> Any:
    import numpy as np
    import pandas as pd  # noqa: F401 - pyarrow's, imported before the clock starts
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def run() -> Any:
        factors, outcome = _load_plain(folder)
        scaler = StandardScaler(copy=False)
        factors = scaler.fit_transform(factors)  # without it, lbfgs does not converge on clinical units
        model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-6).fit(factors, outcome)
        slopes = model.coef_[0] / scaler.scale_
        # It has no standard errors, and is not charged for any.
        return np.concatenate((model.intercept_ - slopes @ scaler.mean_, slopes)), np.full(slopes.size + 1, np.nan)

    return run


def machine() -> str:
    names = [line.split(":", 1)[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    core = f", OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']}" if "OPENBLAS_CORETYPE" in os.environ else ""
    return f"{len(names)} x {names[0] if names else platform.machine()}, {platform.system()}{core}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def worst_difference(fit: dict[str, Any], reference: dict[str, Any]) -> float:
    """Return the largest difference of a coefficient, in the reference's standard errors."""
    triples = zip(fit["coef"], reference["coef"], reference["se"], strict=True)
    return max(abs(ours - theirs) / se for ours, theirs, se in triples)


def main() -> None:
    arguments = argparse.ArgumentParser(description="logistic regression against glum and scikit-learn")
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--runs", type=int, default=RUNS)
    arguments.add_argument("--folder", type=Path, default=Path("out/bench"))
    arguments.add_argument("--worker", choices=TOOLS, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.folder)))
        return

    from encrypted_cohort import FACTORS, make_cohort

    folder = make_cohort(options.folder, options.rows).folder
    runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TOOLS}
    for number in range(options.runs):
        for tool in TOOLS:
            runs[tool].append(run_tool(tool, folder))
            last = runs[tool][-1]
            shown = f"{last['seconds']:.2f} s, {last['cpu_seconds']:.2f} s of CPU, {last['peak_mb']:.0f} MB"
            print(f"run {number + 1}/{options.runs} {tool}: {shown}", file=sys.stderr)

    seconds = {tool: statistics.median(run["seconds"] for run in runs[tool]) for tool in TOOLS}
    cpu = {tool: statistics.median(run["cpu_seconds"] for run in runs[tool]) for tool in TOOLS}
    ours = TOOLS[:2]
    report = {
        "bench": "logistic",
        "n": options.rows,
        "p": len(FACTORS),
        "runs": options.runs,
        "ratio": {tool: {peer: round(seconds[tool] / seconds[peer], 4) for peer in PEERS} for tool in ours},
        "cpu_ratio": {tool: {peer: round(cpu[tool] / cpu[peer], 4) for peer in PEERS} for tool in ours},
        "seconds": {tool: round(value, 3) for tool, value in seconds.items()},
        "cpu_seconds": {tool: round(value, 3) for tool, value in cpu.items()},
        "peak_mb": {tool: round(max(run["peak_mb"] for run in runs[tool]), 1) for tool in TOOLS},
        "float32_worst_difference_in_se": worst_difference(runs["ours-float32"][0], runs["ours-float64"][0]),
        "glum_worst_difference_in_se": worst_difference(runs["glum"][0], runs["ours-float64"][0]),
        "machine": machine(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
