"""What the bootstrap says of itself before enclave code runs, and what is in force when it does."""

from __future__ import annotations

import json

import pytest

from heartify.tee.landlock import landlock_version


def test_bootstrap_says_in_one_line_what_is_in_force(finished):
    lines = {run.status_line for run in finished.values()}
    assert len(lines) == 1
    line = lines.pop()

    said = json.loads(line)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert said["landlock"] == (landlock_version() > 0)
    assert said["filter"] is False  # none was given
    assert set(said) == {"landlock", "memory_locked", "filter"}


def test_start_without_a_status_pipe_is_tolerated(worlds, run_image):
    run = run_image(worlds["robust"], status_fd=None)

    assert (run.exit_status, run.status_line) == (0, b"")


def test_memory_is_locked_where_the_limit_allows_and_said_so(finished):
    for run in finished.values():
        most = run.seen["hard lock limit"]
        allowed = most == "unlimited" or int(most) >= 4 * 1024**3
        locked_kib = int(run.seen["VmLck"].split()[0])
        assert json.loads(run.status_line)["memory_locked"] == allowed
        # Far more than the keys: libraries, stacks and heap.
        assert (locked_kib > 50_000) == allowed


def test_files_outside_the_image_are_hidden_from_enclave_code(finished):
    if landlock_version() == 0:
        pytest.skip("this kernel has no Landlock")
    for run in finished.values():
        assert run.report["readable"] == []


def test_process_leaves_no_core_and_can_not_be_traced(finished):
    for run in finished.values():
        assert run.report["core_limit"] == [0, 0]
        assert run.report["dumpable"] == 0
