"""Acceptance 3: distinctive values planted in a cohort appear nowhere on the host.

The pool runs in this process, so that every frame between it and the enclave can be recorded; chain, brokers and
enclave are real processes. Searched are all files of the market (stores, chain, databases, logs, homes, outputs), what
the processes printed, and both directions of the enclave's channel, for the values as text and as numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from heartify.cohort.generated import store_demo_data
from heartify.demo.cohorts import load_cohorts
from heartify.demo.processes import free_port
from heartify.demo.story import tell_story
from heartify.demo.world import POOL_FUNDS, POOL_PRICE, DemoWorld
from heartify.party.account import deposit, unsafe_faucet
from heartify.party.http_service import RunningService
from heartify.pool.pool import Pool
from heartify.protocol.frames import encode_frame
from heartify.tee.running_enclave import RunningEnclave

CANARIES = {"hba1c": 6.1293847561, "cholesterol": 5.9182736455, "bmi": 27.364859102}


class RecordingEnclave:
    """A running enclave whose frames are all kept."""

    def __init__(self, enclave: RunningEnclave, frames: list[bytes]) -> None:
        self._enclave = enclave
        self._frames = frames

    def send_frame(self, header: dict[str, Any], body: bytes = b"") -> None:
        self._frames.append(encode_frame(header, body))
        self._enclave.send_frame(header, body)

    def receive_frame(self, timeout_seconds: float) -> tuple[dict[str, Any], bytes]:
        header, body = self._enclave.receive_frame(timeout_seconds)
        self._frames.append(encode_frame(header, body))
        return header, body

    def quote(self, report_data: bytes) -> Any:
        return self._enclave.quote(report_data)

    def __enter__(self) -> Self:
        self._enclave.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._enclave.__exit__(*args)


class RecordedWorld(DemoWorld):
    """A market whose pool runs in this process and records its enclaves' channels."""

    frames: list[bytes]
    _end_pool: Any
    _close_pool: Any
    _pool_service: RunningService

    def _start_pool(self) -> None:
        home, port = self.work / "pool", free_port()
        url = f"http://127.0.0.1:{port}"
        self.frames = []
        self.pool = Pool.init(home, self.password, deployment=self.deployment_file, url=url, price=POOL_PRICE)
        unsafe_faucet(home, self.password, POOL_FUNDS)
        deposit(home, self.password, POOL_FUNDS)
        started = self.pool.start()
        worker = started.rounds._worker
        launch = worker._launch
        worker._launch = lambda limits: RecordingEnclave(launch(limits), self.frames)
        self._pool_service = RunningService(started.service, port=port)
        self._pool_service.__enter__()
        self._end_pool, self._close_pool = started.run_in_thread(), started.close

    def _wait_for_services(self) -> None:
        for item in self.hospitals:
            self.services.wait_until_ready(f"broker-{item.name}", item.broker_url)

    def close(self) -> None:
        self._end_pool()
        self._close_pool()
        self._pool_service.__exit__()
        super().close()


def patterns() -> Iterator[tuple[str, bytes]]:
    for name, value in CANARIES.items():
        text = repr(value)
        yield f"{name} as text", text.encode()
        yield f"{name} as digits", text.replace(".", "").encode()
        for code in ("<d", ">d", "<f", ">f"):
            yield f"{name} as {code}", struct.pack(code, value)
        yield f"{name} as float64 in hex", struct.pack("<d", value).hex().encode()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedWorld, Path]:
    base = tmp_path_factory.mktemp("canary")
    store_demo_data(base / "cohorts", patients_per_hospital=200)
    for path in (base / "cohorts").glob("*.csv"):
        lines = path.read_text().splitlines()
        header = lines[0].split(",")
        for row in range(1, 40, 4):
            cells = lines[row].split(",")
            for name, value in CANARIES.items():
                cells[header.index(name)] = repr(value)
            lines[row] = ",".join(cells)
        path.write_text("\n".join(lines) + "\n")
    with RecordedWorld(base / "work", load_cohorts(base / "cohorts"), lambda _: None) as world:
        outcome = tell_story(world, base / "out", lambda _: None)
        assert outcome.opened.result is not None
    return world, base


def test_the_search_would_find_the_canaries_where_they_were_planted(recorded: tuple[RecordedWorld, Path]) -> None:
    _, base = recorded
    planted = (base / "cohorts" / "aspen.csv").read_bytes()

    assert all(text in planted for name, text in patterns() if name.endswith("as text"))


def test_no_canary_is_in_any_file_of_the_host(recorded: tuple[RecordedWorld, Path]) -> None:
    _, base = recorded
    searched = [path for folder in ("work", "out") for path in (base / folder).rglob("*") if path.is_file()]

    found = [(path.name, name) for path in searched for name, text in patterns() if text in path.read_bytes()]

    assert len(searched) > 50
    assert {"aspen", "pool", "chain", "logs"} <= {part for path in searched for part in path.parts}
    assert found == []


def test_no_canary_passes_the_enclaves_channel(recorded: tuple[RecordedWorld, Path]) -> None:
    world, _ = recorded
    stream = b"".join(world.frames)

    assert len(world.frames) > 40
    assert [name for name, text in patterns() if text in stream] == []


def test_no_canary_is_in_what_the_processes_printed(recorded: tuple[RecordedWorld, Path]) -> None:
    _, base = recorded
    logs = b"".join(path.read_bytes() for path in (base / "work" / "logs").glob("*.log"))

    assert logs
    assert [name for name, text in patterns() if text in logs] == []
