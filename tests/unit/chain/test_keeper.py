from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heartify.chain import keeper

CHILD = """
import pathlib, signal, sys, time

notes = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (notes.write_text("stopped"), sys.exit(7)))
notes.write_text("up")
time.sleep(60)
"""


@pytest.fixture
def lifeline() -> Iterator[list[int]]:
    ends = list(os.pipe())
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def start(lifeline: list[int], *command: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-I", "-S", keeper.__file__, str(lifeline[0]), *command]
    return subprocess.Popen(program, pass_fds=(lifeline[0],))


def start_child(lifeline: list[int], notes: Path) -> subprocess.Popen[bytes]:
    process = start(lifeline, sys.executable, "-I", "-c", CHILD, str(notes))
    give_up = time.monotonic() + 10
    while not notes.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    return process


def test_the_childs_exit_status_is_passed_on(lifeline: list[int]) -> None:
    process = start(lifeline, sys.executable, "-c", "raise SystemExit(5)")

    assert process.wait(10) == 5


def test_the_parents_end_stops_the_child(lifeline: list[int], tmp_path: Path) -> None:
    process = start_child(lifeline, tmp_path / "notes")

    os.close(lifeline[1])

    assert process.wait(10) == 7
    assert (tmp_path / "notes").read_text() == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_child_gently(lifeline: list[int], tmp_path: Path, number: signal.Signals) -> None:
    process = start_child(lifeline, tmp_path / "notes")

    process.send_signal(number)

    assert process.wait(10) == 7
    assert (tmp_path / "notes").read_text() == "stopped"


@pytest.mark.skipif(sys.platform != "linux", reason="the parent death signal is Linux's")
def test_killing_the_keeper_stops_the_child(lifeline: list[int], tmp_path: Path) -> None:
    process = start_child(lifeline, tmp_path / "notes")

    process.kill()
    process.wait(10)

    give_up = time.monotonic() + 10
    while (tmp_path / "notes").read_text() != "stopped" and time.monotonic() < give_up:
        time.sleep(0.02)
    assert (tmp_path / "notes").read_text() == "stopped"
