"""`heartify demo --json` as a user runs it: one JSON document on stdout, four files, true weights recovered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from heartify.cohort.generated import TRUE_WEIGHTS


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "heartify", "demo", "--out", str(out), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False), out


def test_stdout_is_one_json_document_with_the_whole_outcome(
    demo: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    completed, _ = demo

    assert completed.returncode == 0, completed.stderr
    document = json.loads(completed.stdout)

    assert document["outcome"] == "delivered"
    assert document["simulated"] is True
    assert document["verification"]["verified"] is True
    assert len(document["payments"]) == 6


def test_true_weights_lie_within_four_standard_errors(demo: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    weights = {weight["factor"]: weight for weight in json.loads(demo[0].stdout)["result"]["weights"]}

    assert set(weights) == set(TRUE_WEIGHTS)
    for factor, true in TRUE_WEIGHTS.items():
        assert abs(weights[factor]["beta"] - true) < 4 * weights[factor]["se"], factor


def test_progress_goes_to_stderr_step_by_step(demo: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    steps = (
        "embedded chain",
        "deploying",
        "published version",
        "rehearses",
        "quote:",
        "deal 0x",
        "enclave:",
        "settled: delivered",
    )

    assert all(step in demo[0].stderr for step in steps)


def test_four_files_are_written(demo: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    assert {path.name for path in demo[1].iterdir()} == {
        "result.json",
        "receipt.json",
        "report.html",
        "settlement.json",
    }
