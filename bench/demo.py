"""How long `heartify demo` takes from start to opened result, on generated cohorts of 4 x 1,500 patients.

    python bench/demo.py [--runs 3]

Prints each run's seconds, then one JSON line with machine, date and median. No threshold: the promise of a minute on
two cores is read off here, not tested by a clock.
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
import tempfile
import time


def run_once() -> float:
    """Run the demo once and return its wall seconds."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        command = [sys.executable, "-m", "heartify", "demo", "--out", out, "--json"]
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
    if completed.returncode != 0 or json.loads(completed.stdout)["outcome"] != "delivered":
        raise SystemExit(f"the demo failed:\n{completed.stderr}")
    return seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = [run_once() for _ in range(parser.parse_args().runs)]
    for seconds in runs:
        print(f"{seconds:.1f} s")
    summary = {
        "demo_seconds_median": round(statistics.median(runs), 1),
        "runs": len(runs),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
