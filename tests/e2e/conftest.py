"""One running market with the four UCI hospitals for all end-to-end tests: chain, brokers, pool as real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heartify.demo.cohorts import load_cohorts
from heartify.demo.world import DemoWorld

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / ".." / "shared"
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")


@pytest.fixture(scope="session")
def uci_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --data folder with the four UCI cohorts."""
    if not (SHARED / "data").is_dir():
        pytest.skip("third-party cohorts are not beside the project: ../shared/data is absent")
    folder = tmp_path_factory.mktemp("uci4")
    for name in HOSPITALS:
        shutil.copy(SHARED / "data" / f"uci_heart_{name}.csv", folder / f"{name}.csv")
    for name in ("dictionary.toml", "plan.toml"):
        shutil.copy(HERE / "uci4" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    """R's values for the pooled model with hospital intercepts."""
    path = SHARED / "vectors" / "statistics" / "truth.json"
    if not path.exists():
        pytest.skip("reference values are not beside the project: ../shared/vectors is absent")
    fixed_effects: dict[str, Any] = json.loads(path.read_text())["uci4"]["fixed_effects"]
    return fixed_effects


@pytest.fixture(scope="session")
def world(uci_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    """A running market; tests that stop a part of it start it again."""
    with DemoWorld(tmp_path_factory.mktemp("world"), load_cohorts(uci_folder), lambda _: None) as running:
        yield running
