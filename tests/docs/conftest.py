"""What the documentation's tests share: the project's folder and its committed texts."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("src", "tests", "docs", "contracts", "deploy", "tools", "bench", "lock", ".ci")
SUFFIXES = {".md", ".py", ".vy", ".vyi", ".toml", ".txt", ".json", ".svg", ".service", ".yml", ".j2", ".conf", ".env"}


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def markdown_files() -> list[Path]:
    """Every page of the documentation."""
    pages = sorted(PROJECT.glob("*.md")) + sorted((PROJECT / "docs").rglob("*.md"))
    assert pages
    return pages


@pytest.fixture(scope="session")
def text_files() -> list[Path]:
    """Every text file of the project that people write or that is committed."""
    roots = [PROJECT / name for name in SOURCES]
    found = [path for root in roots for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    top = [path for path in PROJECT.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    return sorted(path for path in found + top if path.suffix in SUFFIXES or path.parent.name == ".ci" or path in top)
