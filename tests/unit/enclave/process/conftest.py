"""The real enclave process, started from a copy of its image, on deals that ask for every kind of analysis.

The host's side is the one of the tests above: real brokers, simulated quotes. `run_image(world)` gives what came out,
the probe's report on what the process had loaded, and all that it wrote to its standard streams.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import parse_plan_toml
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.image_copy import ImageCopy, copy_image

COHORT = Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "inputs" / "cohort.csv"
GIB = 1024**3
MODEL = """
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male", equals = "1" },
  { name = "chol", column = "chol", spline = 4 },
  { name = "smoker", column = "smoker" },
  { name = "grade", column = "grade", reference = "1" },
]
interactions = [{ first = "male", second = "smoker" }]
"""
LOGISTIC = (
    """
title = "Everything of a logistic model"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
"""
    + MODEL
    + """
describe = {}
weights = { bootstrap = 10 }
heterogeneity = {}
performance = { optimism = 5 }
increment = { factors = ["grade"], cutoffs = [0.45, 0.6] }
selection = { pairs = 10 }
screen = { candidates = ["noise", "sbp", "qt"], families = { both = ["noise", "sbp"] } }
"""
)
COX = (
    """
title = "Everything of a Cox model"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" }, horizon = 600 }
"""
    + MODEL
    + """
describe = {}
weights = { bootstrap = 10 }
heterogeneity = {}
performance = { optimism = 5 }
increment = { factors = ["grade"] }
competing_risks = {}
screen = { candidates = ["noise", "sbp"] }
analysis = { model = "cox", strata = ["treated"] }
"""
)
IMPUTED = """
title = "Imputed, and a published score"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "qt", column = "qt" }, { name = "chol", column = "chol" }, { name = "male", column = "male" }]
missing = { method = "multiple-imputation", imputations = 3, iterations = 2 }
increment = { factors = ["qt"], score = { name = "score2", region = "low", inputs = { age = "age", male = "male", \
sbp = "sbp", smoker = "smoker", diabetes = "treated", total_cholesterol = "chol", hdl_cholesterol = "hdl" } } }
weights = { bootstrap = 0 }
performance = { optimism = 0 }
"""
FIRTH = """
title = "Firth's estimates"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }, { name = "smoker", column = "smoker" }]
analysis = { estimation = "firth" }
performance = { optimism = 0 }
"""
ROBUST = """
title = "The sandwich"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
analysis = { standard_errors = "robust" }
"""
PLANS = {"logistic": LOGISTIC, "cox": COX, "imputed": IMPUTED, "firth": FIRTH, "robust": ROBUST}


def _number(name: str, unit: str = "1", role: Any = "factor", **limits: float) -> Column:
    return Column(name=name, title=name.capitalize(), datatype="number", role=role, unit=unit, **limits)


def _flag(name: str, role: Any = "factor") -> Column:
    return Column(name=name, title=name.capitalize(), datatype="boolean", role=role)


def _category(name: str, codes: str, role: Any = "factor") -> Column:
    levels = tuple(Level(code=code, label=f"{name} {code}") for code in codes)
    return Column(name=name, title=name.capitalize(), datatype="category", role=role, levels=levels)


DICTIONARY = DataDictionary(
    title="Cohort of every analysis",
    description="",
    columns=(
        _number("age", "a", minimum=18, maximum=89),
        _flag("male"),
        _number("sbp", "mm[Hg]"),
        _number("chol", "mmol/L"),
        _number("hdl", "mmol/L"),
        _flag("smoker"),
        _flag("treated"),
        _category("grade", "123"),
        _number("noise"),
        _number("qt", "ms"),
        _flag("y", "outcome"),
        _number("entry", "d", "time"),
        _number("time", "d", "time"),
        _category("status", "012", "outcome"),
    ),
)


def cohort_columns() -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Hospital → columns of the generated cohort, with three columns of our own; one of them has gaps."""
    with COHORT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for index, name in enumerate(sorted({row["hospital"] for row in rows})):
        mine = [row for row in rows if row["hospital"] == name]
        own = {"hdl", "treated", "qt"}
        columns = {
            column.name: np.array([float(row[column.name]) for row in mine])
            for column in DICTIONARY.columns
            if column.name not in own
        }
        # Coarse ages and positive times, since publishing refuses the others.
        columns["age"] = np.clip(np.round(columns["age"] / 10) * 10, 40, 70)
        columns |= {"entry": columns["entry"] + 1, "time": columns["time"] + 1}
        rng = np.random.default_rng(index)
        columns["hdl"] = np.round(rng.normal(1.4, 0.3, len(mine)), 2)
        columns["treated"] = rng.integers(0, 2, len(mine)).astype(float)
        qt = np.round(rng.normal(420, 25, len(mine)), 1)
        columns["qt"] = np.where(rng.random(len(mine)) < 0.1, np.nan, qt)
        found[name] = columns
    return found


@dataclasses.dataclass(frozen=True)
class ProcessRun:
    """What a process left: the frames it sent, the probe's report, what /proc showed, how it ended, what it printed."""

    frames: list[tuple[dict[str, Any], bytes]]
    host: Any
    report: dict[str, Any]
    seen: dict[str, str]
    exit_status: int
    output: bytes
    status_line: bytes

    @property
    def done(self) -> dict[str, Any]:
        return next(header for header, _ in self.frames if header["op"] == "done")

    @property
    def sealed(self) -> bytes:
        return next(body for header, body in self.frames if header["op"] == "done")


@pytest.fixture(scope="session")
def probed_image(tmp_path_factory) -> ImageCopy:
    """A copy of the enclave's image with the probe beside it."""
    probe = Path(__file__).with_name("process_probe.py")
    image = build_enclave_image(entry="process_probe:main", extra_app_files={"process_probe.py": probe})
    return copy_image(image, tmp_path_factory.mktemp("probed") / "image")


def allow_locking() -> None:
    """Let a process lock all its memory where the machine lets us say so, as a launcher does."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(scope="session")
def run_image(probed_image: ImageCopy, world: Any) -> Callable[..., ProcessRun]:
    """Run a world's job in a process of the image: run_image(world, lies, environment=…, at_end=…, cpu_seconds=…)."""
    host_kind = sys.modules[type(world).__module__].Host

    def run(
        of: Any,
        lies: Any = None,
        *,
        environment: dict[str, str] | None = None,
        at_end: Callable[[int], object] = lambda _: None,
        **options: Any,
    ) -> ProcessRun:
        host_end, enclave_end = socket.socketpair()
        status_read, status_write = os.pipe()
        chosen = {
            "entry": probed_image.image.entry,
            "channel_fd": enclave_end.fileno(),
            "filter_fd": None,
            "user_id": None,
            "memory_bytes": 4 * GIB,
            "cpu_seconds": 120,
            "status_fd": status_write,
        } | options
        folder = probed_image.folder
        process = subprocess.Popen(
            [
                folder / "python/bin/python3",
                *probed_image.image.arguments,
                folder / "bootstrap/bootstrap.py",
                json.dumps(chosen),
            ],
            pass_fds=[enclave_end.fileno(), status_write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **{k: v.replace("{system}", str(folder / "system")) for k, v in probed_image.image.environment},
                **(environment or {}),
            },
            cwd="/",
            preexec_fn=allow_locking,  # noqa: PLW1509 - it makes one system call
        )
        enclave_end.close()
        os.close(status_write)
        seen: dict[str, str] = {}

        def look(*_: Any) -> bytes:
            # The process waits for the one byte of the answer.
            at_end(process.pid)
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            seen.update(line.split(":", 1) for line in lines)
            limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
            seen["hard lock limit"] = next(line.split()[4] for line in limits if line.startswith("Max locked memory"))
            return b"."

        with host_end:
            host = host_kind(of, host_end, {**(lies or {}), "report": look})
            host.memory["pid"] = process.pid
            host.serve(of.documents())
        output, _ = process.communicate(timeout=60)
        with os.fdopen(status_read, "rb") as pipe:
            status_line = pipe.read()
        report = next((header for header, _ in host.frames if header["op"] == "report"), {})
        frames = [frame for frame in host.frames if frame[0]["op"] != "report"]
        return ProcessRun(frames, host, report, seen, process.returncode, output, status_line)

    return run


@pytest.fixture(scope="session")
def cohort_hospitals(new_hospital) -> tuple[Any, ...]:
    """The hospitals of the generated cohort."""
    return tuple(new_hospital(name, columns, DICTIONARY) for name, columns in cohort_columns().items())


@pytest.fixture(scope="session")
def worlds(cohort_hospitals, new_world) -> dict[str, Any]:
    """One deal for each plan."""
    return {name: new_world(cohort_hospitals, parse_plan_toml(plan)) for name, plan in PLANS.items()}


@pytest.fixture(scope="session")
def finished(worlds, run_image) -> dict[str, ProcessRun]:
    """One honest run of each plan."""
    return {name: run_image(world) for name, world in worlds.items()}
