"""Time and memory of the streamed logistic regression from 100 thousand to 100 million encrypted rows.

    python bench/scale.py [--rows 100000 1000000 ...] [--runs 3] [--folder out/bench]

Writes bench/results/scale.json, scale.svg and scale.md, and ends with one JSON line on stdout. Each cohort is written
part by part and removed again: the largest needs 10 GB on disk for a while.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from encrypted_cohort import FACTORS, make_cohort
from logistic import machine, run_tool

ROWS = (100_000, 1_000_000, 10_000_000, 100_000_000)
TOOL = "ours-float32"
RESULTS = Path(__file__).parent / "results"
PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 300, 220, 60


def measure(folder: Path, rows: int, runs: int) -> dict[str, Any]:
    """Measure one size: median time, largest peak; the cohort is removed when it was not there before."""
    before = set(folder.glob("cohort-*")) if folder.exists() else set()
    cohort = make_cohort(folder, rows, plain=False)
    measured = []
    for number in range(runs):
        measured.append(run_tool(TOOL, cohort.folder))
        last = measured[-1]
        shown = f"{last['seconds']:.2f} s, {last['cpu_seconds']:.2f} s of CPU, {last['peak_mb']:.0f} MB"
        print(f"{rows:,} rows, run {number + 1}/{runs}: {shown}", file=sys.stderr)
    if cohort.folder not in before:
        shutil.rmtree(cohort.folder)
    return {
        "rows": rows,
        "seconds": round(statistics.median(run["seconds"] for run in measured), 3),
        "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in measured), 3),
        "peak_mb": round(max(run["peak_mb"] for run in measured), 1),
    }


def draw(sizes: Sequence[dict[str, Any]], caption: str) -> str:
    """Draw time and memory over rows, both on logarithmic axes, as SVG."""
    width, height = 2 * (PANEL_WIDTH + MARGIN) + MARGIN, PANEL_HEIGHT + 2 * MARGIN
    rows = [size["rows"] for size in sizes]
    panels = [
        _panel(MARGIN, "seconds", rows, [size["seconds"] for size in sizes], (0.1, 100.0)),
        _panel(
            2 * MARGIN + PANEL_WIDTH, "peak memory, MB", rows, [size["peak_mb"] for size in sizes], (10.0, 10_000.0)
        ),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
            "<style>text { font-size: 12px }</style>",
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="{MARGIN}" y="20">{caption}</text>',
            *panels,
            "</svg>\n",
        ]
    )


def _panel(left: int, title: str, rows: Sequence[int], values: Sequence[float], limits: tuple[float, float]) -> str:
    low_x = math.floor(math.log10(min(rows)))
    high_x = max(math.ceil(math.log10(max(rows))), low_x + 1)
    low_y = min(math.log10(limits[0]), math.floor(math.log10(min(values))))
    high_y = max(math.log10(limits[1]), math.ceil(math.log10(max(values))))
    bottom = MARGIN + PANEL_HEIGHT

    def x(value: float) -> float:
        return left + PANEL_WIDTH * (math.log10(value) - low_x) / (high_x - low_x)

    def y(value: float) -> float:
        return bottom - PANEL_HEIGHT * (math.log10(value) - low_y) / (high_y - low_y)

    parts = [f'<text x="{left}" y="{MARGIN - 10}" font-weight="bold">{title}</text>']
    for power in range(low_x, high_x + 1):
        parts.append(f'<path d="M{x(10**power):.1f} {MARGIN}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(10**power):.1f}" y="{bottom + 16}" text-anchor="middle">1e{power}</text>')
    for power in range(round(low_y), round(high_y) + 1):
        parts.append(f'<path d="M{left} {y(10.0**power):.1f}H{left + PANEL_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y(10.0**power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    points = [(x(n), y(value)) for n, value in zip(rows, values, strict=True)]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    for (a, b), value in zip(points, values, strict=True):
        parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="#1f5fa8"/>')
        parts.append(f'<text x="{a:.1f}" y="{b - 8:.1f}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text x="{left + PANEL_WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">rows</text>')
    return "\n".join(parts)


def tabulate(report: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "# Logistic regression from the encrypted dataset: time and memory by rows",
        "",
        f"{report['p']} factors, single precision, 2 threads, median of {report['runs']} fresh processes.",
        "Wall time from opening the files to coefficients with standard errors; digests and decryption included.",
        f"Machine: {report['machine']}. Date: {report['date']}. Made by `python bench/scale.py`.",
        "",
        "| rows | seconds | CPU seconds | peak MB |",
        "|---:|---:|---:|---:|",
        *(f"| {s['rows']:,} | {s['seconds']} | {s['cpu_seconds']} | {s['peak_mb']} |" for s in report["sizes"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description="time and memory over rows")
    arguments.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--folder", type=Path, default=Path("out/bench"))
    arguments.add_argument("--results", type=Path, default=RESULTS)
    options = arguments.parse_args()

    report: dict[str, Any] = {
        "bench": "scale",
        "p": len(FACTORS),
        "runs": options.runs,
        "sizes": [measure(options.folder, rows, options.runs) for rows in sorted(options.rows)],
        "machine": machine(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    caption = f"Logistic regression, {report['p']} factors, from the encrypted dataset ({report['date']})"
    (options.results / "scale.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.results / "scale.svg").write_text(draw(report["sizes"], caption))
    (options.results / "scale.md").write_text(tabulate(report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
