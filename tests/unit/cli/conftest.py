"""Cohorts as a steward has them on disk, and the command line as a steward calls it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartify.cli.main import main

PATIENTS = 120


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def heartify(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return Ran(code, shown.out, shown.err)

    return run


def patient(number: int) -> tuple[str, int, int, str, int]:
    """One patient: id, age, systolic pressure, cholesterol in mmol/L, outcome."""
    return f"K{5000 + 7 * number}", 35 + number % 40, 100 + number % 61, f"{3 + number % 37 / 10:.1f}", number % 4 // 3


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    """An ordinary CSV file, which needs no option."""
    lines = ["patient,age,systolic,chol,cvd"]
    lines += [",".join(map(str, patient(number))) for number in range(PATIENTS)]
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def german_file(tmp_path: Path) -> Path:
    """The same cohort as a German spreadsheet writes it: | between fields, decimal comma, windows-1252."""
    lines = ["Patient|Alter|systolic|chol|cvd|Größe"]
    for number in range(PATIENTS):
        key, age, systolic, chol, cvd = patient(number)
        lines.append(f"{key}|{age}|{systolic}|{chol.replace('.', ',')}|{cvd}|{150 + number % 40}")
    path = tmp_path / "kohorte.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("windows-1252"))
    return path


@pytest.fixture
def parquet_file(tmp_path: Path) -> Path:
    """The same cohort as Parquet."""
    rows = [patient(number) for number in range(PATIENTS)]
    columns = {
        "patient": pa.array([row[0] for row in rows]),
        "age": pa.array([row[1] for row in rows], pa.int16()),
        "systolic": pa.array([row[2] for row in rows], pa.int16()),
        "chol": pa.array([float(row[3]) for row in rows]),
        "cvd": pa.array([bool(row[4]) for row in rows]),
    }
    path = tmp_path / "cohort.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The same cohort as the table `visit` of a database."""
    path = tmp_path / "clinic.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE visit (patient TEXT PRIMARY KEY, age INTEGER, systolic INTEGER, chol REAL, cvd INT)"
    )
    connection.executemany("INSERT INTO visit VALUES (?, ?, ?, ?, ?)", [patient(number) for number in range(PATIENTS)])
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """A reviewed dictionary of the cohort."""
    path = tmp_path / "dictionary.toml"
    path.write_text(DICTIONARY)
    return path


DICTIONARY = """
title = "Clinic"
description = ""
[[columns]]
name = "patient"
title = "Patient"
datatype = "category"
role = "id"
[[columns]]
name = "age"
title = "Age"
datatype = "integer"
role = "factor"
unit = "a"
minimum = 18
maximum = 110
[[columns]]
name = "systolic"
title = "Systolic blood pressure"
datatype = "integer"
role = "factor"
unit = "mm[Hg]"
minimum = 40
maximum = 350
[[columns]]
name = "chol"
title = "Total cholesterol"
datatype = "number"
role = "factor"
unit = "mmol/L"
minimum = 1
maximum = 20
decimals = 1
[[columns]]
name = "cvd"
title = "CVD"
datatype = "boolean"
role = "outcome"
"""
