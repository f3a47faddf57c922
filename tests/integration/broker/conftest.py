"""The broker's world of the unit tests, for tests that run a broker as a service or a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from kill_everywhere import load_world_module

sys.path.pop(0)


@pytest.fixture(scope="session")
def names():
    """Everything that the conftest of the broker's unit tests defines."""
    return load_world_module()


@pytest.fixture
def world(names, tmp_path):
    platform = names.SimulatedPlatform.create(names.NOW)
    return names.build_world(tmp_path, platform, names.write_small_version())
