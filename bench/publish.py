"""Publishing from a file: seconds and peak memory from one million rows on, with a kill in the middle and a resumption.

    python bench/publish.py [--rows 1000000 10000000] [--source parquet] [--no-kill] [--folder out/bench/publish]

Each size is a fresh process that surveys, decides, encrypts, stores in a local folder and registers with a registry in
memory; then the same once more, killed (SIGKILL) when half of the parts are stored, and continued. Only the chain is
left out. Progress is on stderr; one JSON line ends it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from clinical_cohort import clinical_batches, clinical_dictionary
from logistic import machine
from memory import peak_mb

from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.cohort.sources.open_rows import open_rows
from heartify.cohort.sources.source_options import SourceOptions
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.cohort.storage.store import open_store
from heartify.cohort.survey.survey import survey_rows
from heartify.hospital.home import HospitalHome, HospitalSettings
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.publish import publish
from heartify.hospital.publishing.terms import Decisions, PublishTerms
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS

MANY_ROWS = 50_000_000
ROWS = (1_000_000, 10_000_000, 100_000_000)
REASON = "generated data of a benchmark"
DICTIONARY = clinical_dictionary()
FEW = ("age", "systolic", "cholesterol", "smoking", "cvd")
"""The columns of a source of 100 million rows, so that it fits on a laptop's disk."""


@dataclass
class MemoryRegistry:
    """A registry without a chain."""

    events: list[Any] = field(default_factory=list)

    def version_events(self, *, dataset: str, to: str) -> list[Any]:
        return [event for event in self.events if event.dataset == dataset]

    def owner_of_dataset(self, dataset: str, *, block: str) -> str:
        return ZERO_ADDRESS

    def register_dataset(self, salt: bytes, broker: str, url: str) -> None:
        pass

    def publish_version(self, dataset: str, version: str, url: str) -> None:
        self.events.append((dataset, version))


@dataclass
class Access:
    """What of the market a publication uses."""

    registry: MemoryRegistry


def dictionary_of(rows: int) -> DataDictionary:
    """Return the dictionary of a source of so many rows: the largest have few columns."""
    if rows < MANY_ROWS:
        return DICTIONARY
    columns = tuple(column for column in DICTIONARY.columns if column.name in FEW)
    return DataDictionary(title=DICTIONARY.title, description=DICTIONARY.description, columns=columns)


def make_source(path: Path, rows: int) -> None:
    """Write the generated cohort as one Parquet or CSV file, batch by batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [column.name for column in dictionary_of(rows).columns]
    batches = clinical_batches(rows, names)
    plain = _plain(next(batches))
    writer = (
        pq.ParquetWriter(path, plain.schema, compression="NONE")
        if path.suffix == ".parquet"
        else pacsv.CSVWriter(path, plain.schema)
    )
    with writer:
        writer.write_batch(plain)
        for batch in batches:
            writer.write_batch(_plain(batch))


def worker(source: Path, folder: Path, rows_of_source: int, kill_at: int) -> dict[str, Any]:
    """Publish in this process; `kill_at` rows into the second pass the process kills itself."""
    steward = StewardDictionary(dictionary=dictionary_of(rows_of_source))
    rows = open_rows(str(source), steward, SourceOptions())
    (folder / "home").mkdir(parents=True, exist_ok=True)
    home = HospitalHome(folder / "home")
    ports = Ports(
        home=home,
        settings=HospitalSettings(
            name="bench",
            account="0x" + "11" * 20,
            broker="0x" + "12" * 20,
            store_url=str(folder / "store"),
            broker_url="http://127.0.0.1:8701",
        ),
        vault_seed=bytes(32),
        broker_store=BrokerStore(open_database(home.database_url)),
        store=open_store(str(folder / "store")),
        access=Access(MemoryRegistry()),  # type: ignore[arg-type]
        today=dt.datetime.now(dt.UTC).date(),
    )
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def report(step: str, done: int, _fraction: float | None) -> None:
        seconds[step] = time.perf_counter() - started
        if step == "encrypting" and kill_at and done >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    terms = PublishTerms(rows=rows, steward=steward, decisions=Decisions(accepted_findings=_accepted(folder)))
    published = publish(ports, terms, report=report)
    return {
        "seconds": time.perf_counter() - started,
        "reading_seconds": seconds.get("reading", 0.0),
        "peak_mb": peak_mb(),
        "resumed": published.resumed,
        "rows_rounded": published.rows_rounded,
        "stored_mb": sum(path.stat().st_size for path in (folder / "store" / "objects").iterdir()) / 1e6,
    }


def run(source: Path, folder: Path, rows: int, kill_at: int = 0) -> dict[str, Any] | None:
    """Publish in a fresh process; None when it was killed."""
    command = [sys.executable, __file__, "--worker", str(source), "--folder", str(folder), "--kill-at", str(kill_at)]
    command += ["--rows", str(rows)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == -signal.SIGKILL:
        return None
    if ran.returncode:
        sys.exit(f"publishing {source.name} failed:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def measure(rows: int, kind: str, folder: Path, *, kill: bool) -> dict[str, Any]:
    """Publish one size at once, and with `kill` once more, killed half way and continued."""
    source = folder / f"cohort.{kind}"
    make_source(source, rows)
    (folder / "accepted.json").write_text(json.dumps(_find(source, rows)))
    whole = run(source, folder / "whole", rows)
    if whole is None:
        sys.exit("the publication died")
    continued = _continue(source, folder / "killed", rows) if kill else {}
    shutil.rmtree(folder)
    print(f"{rows:,} rows: {whole['seconds']:.1f} s, {whole['peak_mb']:.0f} MB", file=sys.stderr)
    return {
        "rows": rows,
        "columns": len(dictionary_of(rows).columns),
        "seconds": round(whole["seconds"], 2),
        "survey_seconds": round(whole["reading_seconds"], 2),
        "rows_per_second": round(rows / whole["seconds"]),
        "peak_mb": round(whole["peak_mb"], 1),
        "stored_mb": round(whole["stored_mb"], 1),
        **continued,
    }


def _continue(source: Path, folder: Path, rows: int) -> dict[str, float]:
    killed = run(source, folder, rows, kill_at=rows // 2 + 1)
    continued = run(source, folder, rows)
    if killed is not None or continued is None or not continued["resumed"]:
        sys.exit("the publication was not killed and continued as it should")
    return {
        "continued_seconds": round(continued["seconds"], 2),
        "continued_peak_mb": round(continued["peak_mb"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--source", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--folder", type=Path, default=Path("out/bench/publish"))
    parser.add_argument("--worker", type=Path)
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--no-kill", action="store_true")
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments.worker, arguments.folder, arguments.rows[0], arguments.kill_at)))
        return
    sizes = [measure(rows, arguments.source, arguments.folder, kill=not arguments.no_kill) for rows in arguments.rows]
    document = {
        "benchmark": "publish",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "source": arguments.source,
        "sizes": sizes,
    }
    print(json.dumps(document))


def _find(source: Path, rows_of_source: int) -> list[str]:
    """Return the names of the findings, which the steward of a benchmark accepts."""
    steward = StewardDictionary(dictionary=dictionary_of(rows_of_source))
    rows = open_rows(str(source), steward, SourceOptions())
    survey = survey_rows(rows, random=np.random.default_rng(0), today=dt.datetime.now(dt.UTC).date())
    return [finding.name for finding in survey.findings]


def _accepted(folder: Path) -> dict[str, str]:
    return dict.fromkeys(json.loads((folder.parent / "accepted.json").read_text()), REASON)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch as another program would have written it: categories as texts."""
    arrays = [array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


if __name__ == "__main__":
    main()
