"""Rows are yielded until the first fault, and others are looked for only so far."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from heartify.cohort.sources.batch_assembly import LOOK_AHEAD_ROWS, yield_sound
from heartify.cohort.sources.faults import MAX_FAULTS, Faults
from heartify.errors import InputError

SOUND = pa.RecordBatch.from_pydict({"x": [1]})


def test_what_comes_after_a_fault_is_searched_but_not_yielded() -> None:
    faults = Faults("x.csv")
    read: list[int] = []

    def batches() -> Iterator[tuple[int, pa.RecordBatch | None]]:
        for number in range(10):
            read.append(number)
            if number == 2:
                faults.add("line 2", "expected a number")
            yield LOOK_AHEAD_ROWS // 2, None if number == 2 else SOUND

    rows = yield_sound(batches(), faults, may_be_empty=False)

    assert [next(rows), next(rows)] == [SOUND, SOUND]
    with pytest.raises(InputError, match=r"x\.csv: 1 fault"):
        next(rows)
    assert read == [0, 1, 2, 3, 4]


def test_faults_are_collected_up_to_a_limit() -> None:
    faults = Faults("x.csv")
    faults.check()

    for number in range(MAX_FAULTS - 1):
        faults.add(f"line {number}", "expected a number")

    with pytest.raises(InputError, match="20 or more faults"):
        faults.add("line 20", "expected a number")


def test_no_rows_are_refused_unless_some_were_passed_over() -> None:
    assert list(yield_sound([], Faults("x.csv"), may_be_empty=True)) == []
    with pytest.raises(InputError, match="no row of data"):
        list(yield_sound([], Faults("x.csv"), may_be_empty=False))
