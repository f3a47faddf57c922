"""A bootstrap of a large cohort must not use up the time that was paid for."""

from __future__ import annotations

import pytest

from heartify.enclave.analyses.judged import affordable_replicates


@pytest.mark.parametrize(
    ("asked", "rows", "affordable"),
    [(200, 5_000, 200), (200, 1_000_000, 30), (1000, 70_000, 428), (200, 2_000_000, 0), (5, 5_000, 5), (0, 5_000, 0)],
)
def test_replicates_are_limited_by_rows_and_too_few_are_none(asked, rows, affordable):
    assert affordable_replicates(asked, rows) == affordable
