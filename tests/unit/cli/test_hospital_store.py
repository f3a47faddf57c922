"""The store's commands on a version in a folder: what is damaged is found, what nobody names is listed and removed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from heartify.cli.main import main
from heartify.party.home import store_document
from tests.unit.hospital.publishing.conftest import Clinic, patients


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    clinic = Clinic(tmp_path)
    store_document(clinic.home.settings_file, clinic.ports.settings)
    return clinic


def call(capsys, *arguments: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = main(["hospital", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def objects(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "store" / "objects").iterdir())


def test_version_that_is_all_there_passes(clinic, capsys):
    published = clinic.publish(patients(0, 600))

    code, document = call(capsys, "check-store", published.version, "--home", str(clinic.home.path))

    assert code == 0
    assert document["files"] == 3


def test_flipped_bit_is_found(clinic, capsys, tmp_path: Path):
    published = clinic.publish(patients(0, 600))
    damaged = objects(tmp_path)[0]
    data = bytearray(damaged.read_bytes())
    data[60] ^= 1
    damaged.write_bytes(bytes(data))

    code, document = call(capsys, "check-store", published.version, "--home", str(clinic.home.path))

    assert code == 4
    assert document["error"] == "IntegrityError"


def test_leftovers_are_listed_first_and_removed_only_when_told(clinic, capsys, tmp_path: Path):
    published = clinic.publish(patients(0, 600))
    stray = tmp_path / "store" / "objects" / ("ab" * 32)
    stray.write_bytes(b"left behind")
    long_ago = time.time() - 30 * 86400
    os.utime(stray, (long_ago, long_ago))

    _, listed = call(capsys, "clean-store", "--home", str(clinic.home.path))
    still_there = stray.exists()
    _, removed = call(capsys, "clean-store", "--remove", "--home", str(clinic.home.path))

    assert [item["name"] for item in listed["files"]] == [f"objects/{'ab' * 32}"]
    assert still_there
    assert removed["removed"]
    assert not stray.exists()
    assert len(clinic.read(published, "age")["age"]) == 600
