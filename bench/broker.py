"""Key releases a second of one broker service under load, on SQLite and, where a server is, PostgreSQL.

    python bench/broker.py            HEARTIFY_BENCH_POSTGRESQL=postgresql+psycopg://… for the second

The broker runs as a process of its own with everything real but the chain, whose answers are fixed; enclaves are
threads of this process with simulated evidence made beforehand as far as the nonce allows. In the same run: challenges
alone, the service's health page (what the HTTP server itself can do), and one verification and one durable commit
without any service, which are the floor. Ends with one JSON line.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from broker_world import NOW, Client, load_world, make_world, serve_world

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.verifier import verify

ENCLAVES = 16
SECONDS = 8.0


@dataclasses.dataclass
class Timed:
    """How often something was done in how long, and how long each took."""

    seconds: list[float]
    wall: float

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.seconds)
        return {
            "per_second": round(len(ordered) / self.wall, 1),
            "p50_ms": round(1000 * statistics.median(ordered), 1),
            "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 1),
        }


def many(work: Callable[[int], None], workers: int) -> Timed:
    """Do work in threads for SECONDS."""
    give_up = time.monotonic() + SECONDS
    seconds: list[float] = []

    def loop(number: int) -> None:
        while time.monotonic() < give_up:
            began = time.perf_counter()
            work(number)
            seconds.append(time.perf_counter() - began)

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(workers) as threads:
        list(threads.map(loop, range(workers)))
    return Timed(seconds, time.monotonic() - began)


@contextmanager
def service(folder: Path, database: str) -> Iterator[tuple[str, int]]:
    """Run a broker in a process of its own; yield its address and process id."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(folder), database], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(20)


def peak_megabytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def load(folder: Path, database: str) -> dict[str, object]:
    """Put one broker under load and return its figures."""
    with service(folder, database) as (url, pid):
        world = load_world(folder)
        clients = [Client(world, url, number) for number in range(ENCLAVES)]
        releases = many(lambda number: clients[number].release_once(), ENCLAVES)
        challenges = many(lambda number: clients[number].challenge(), ENCLAVES)
        return {
            "releases": releases.summary(),
            "challenges": challenges.summary(),
            "peak_mb": peak_megabytes(pid),
        }


def floor(folder: Path) -> dict[str, object]:
    """Measure what no broker can avoid: one verification of evidence, and the HTTP server itself."""
    world = load_world(folder)
    evidence, bound = world.evidence_for("0x" + "11" * 32)
    policy = unsafe_simulation_policy(world.platform.root_der)
    references = frozenset({world.measurement})

    def once(_: int) -> None:
        verify(evidence, policy, NOW, expected_report_data=bound, reference_measurements=references)

    with service(folder, f"sqlite:///{folder / 'floor.sqlite'}") as (url, _):
        clients = [httpx.Client(trust_env=False) for _ in range(ENCLAVES)]
        health = many(lambda number: clients[number].get(f"{url}/v1/health").raise_for_status(), ENCLAVES)
        for client in clients:
            client.close()
    return {"verify_alone": many(once, 1).summary(), "health": health.summary()}


def main() -> None:
    """Run everything and print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_world(folder)
        figures: dict[str, object] = {"enclaves": ENCLAVES, "floor": floor(folder)}
        figures["sqlite"] = load(folder, f"sqlite:///{folder / 'broker.sqlite'}")
        if url := os.environ.get("HEARTIFY_BENCH_POSTGRESQL"):
            figures["postgresql"] = load(folder, url)
    print(json.dumps(figures, indent=2))
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_world(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
