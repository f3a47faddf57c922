"""A broker that is killed at any moment has released no key that it hasn't counted, and burnt no use for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_everywhere.py")
# Some evenly spread calls here; `make faults` goes through all of them.
POINTS = int(os.environ.get("HEARTIFY_TEST_KILL_POINTS", "60"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path_factory.mktemp("killed")), str(POINTS)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_points_lie_before_and_after_the_count(killed):
    results = killed["results"]

    assert POINTS == 0 or len(results) >= POINTS
    assert {result["uses"] for result in results} == {0, 1}
    assert any(result["uses"] == 1 and not result["sent"] for result in results)


def test_no_key_was_released_without_a_use_on_disk(killed):
    assert [result for result in killed["results"] if result["sent"] and result["uses"] != 1] == []


def test_every_use_has_its_receipt_and_its_audit_entry(killed):
    wrong = [result for result in killed["results"] if not result["uses"] == result["receipts"] == result["entries"]]

    assert wrong == []


def test_the_enclave_that_asks_again_gets_its_keys_and_is_one_use(killed):
    wrong = [result for result in killed["results"] if result["uses_after"] != 1 or not result["same_receipt"]]

    assert wrong == []
