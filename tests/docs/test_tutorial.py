"""The tutorial is true: its commands are typed in order, and print what it says.

Markup: a fence ```bash title="terminal N" is run by bash in the project's folder after the lines of the fence
titled "every terminal"; with `(background)` in the title it keeps running until the end. A ```text fence right after
it is what it prints: each of its lines must appear, in this order; `…` stands for anything, spaces don't count.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from heartify.cohort.generated import TRUE_WEIGHTS

BLOCK_SECONDS = 300
PORTS = ("8545", "8700", "8701", "8702")
_FENCE = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fence of commands and what it prints."""

    title: str
    commands: str
    prints: tuple[str, ...]

    @property
    def is_background(self) -> bool:
        return self.title.endswith("(background)")


def parse_blocks(text: str) -> list[Block]:
    fences = list(_FENCE.finditer(text))
    blocks = []
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        if fence["language"] != "bash":
            continue
        shown = following["body"] if following is not None and following["language"] == "text" else ""
        blocks.append(Block(fence["title"], fence["body"], tuple(line for line in shown.splitlines() if line.strip())))
    return blocks


class Terminals:
    """Runs blocks in a folder and ends by its id whatever still runs."""

    def __init__(self, folder: Path, preamble: str) -> None:
        self._folder = folder
        self._preamble = preamble
        self._count = 0
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> str:
        """Run a block to its end, or a background block until it has printed what it should."""
        self._count += 1
        log = self._folder / f"block-{self._count}.log"
        script = self._preamble + block.commands + ("\nwait\n" if block.is_background else "")
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        give_up = time.monotonic() + BLOCK_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            if block.is_background and first_missing(block.prints, log.read_text()) is None:
                return log.read_text()
            time.sleep(0.1)
        assert process.poll() == 0, f"{block.commands}\nprinted\n{log.read_text()}"
        assert not block.is_background, f"{block.commands}\nended\n{log.read_text()}"
        return log.read_text()

    def end(self) -> None:
        for process in reversed(self._running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


def first_missing(shown: tuple[str, ...], printed: str) -> str | None:
    """Return the first shown line that isn't printed at its place, or None."""
    lines = iter(printed.splitlines())
    for line in shown:
        pattern = ".*".join(r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
        if not any(re.search(pattern, candidate) for candidate in lines):
            return line
    return None


def free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def blocks(project: Path) -> list[Block]:
    text = (project / "docs" / "tutorial" / "three-terminals.md").read_text(encoding="utf-8")
    for fixed, free in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = re.sub(rf"\b{fixed}\b", free, text)
    return parse_blocks(text)


@pytest.fixture
def terminals(blocks: list[Block], tmp_path: Path) -> Iterator[Terminals]:
    activate = tmp_path / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    (preamble,) = [block.commands for block in blocks if block.title == "every terminal"]
    opened = Terminals(tmp_path, preamble)
    yield opened
    opened.end()


def test_the_tutorial_ends_with_an_opened_and_verified_result(
    blocks: list[Block], terminals: Terminals, tmp_path: Path
) -> None:
    for block in blocks:
        if block.title != "every terminal":
            printed = terminals.run(block)

            assert first_missing(block.prints, printed) is None, f"{block.commands}\nprinted\n{printed}"

    results = tmp_path / "out" / "tutorial" / "results"
    result = json.loads((results / "result.json").read_text())
    weights = {weight["factor"]: weight for weight in result["weights"]}
    assert result["simulated"] is True
    assert set(weights) == set(TRUE_WEIGHTS)
    assert all(abs(weights[name]["beta"] - true) < 4 * weights[name]["se"] for name, true in TRUE_WEIGHTS.items())
    assert "simulated" in (results / "report.html").read_text().lower()
    assert json.loads((results / "settlement.json").read_text())["outcome"] == "delivered"


def test_every_command_of_the_tutorial_is_in_a_terminal(blocks: list[Block]) -> None:
    titles = {block.title.removesuffix(" (background)") for block in blocks}

    assert titles == {"every terminal", "terminal 1", "terminal 2", "terminal 3", "terminal 4"}
    assert all(block.prints for block in blocks if block.is_background)


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (("price … 40 TEST",), "x\nprice    40 TEST\n", None),
        (("price … 40 TEST",), "price 41 TEST", "price … 40 TEST"),
        (("a", "b"), "b\na\n", "b"),
        (("a.c",), "abc", "a.c"),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(
    shown: tuple[str, ...], printed: str, missing: str | None
) -> None:
    found = first_missing(shown, printed)

    assert found == missing
