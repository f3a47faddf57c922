"""The reference of a result's tables is what the closed list says of itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_the_page_of_the_tables_is_current() -> None:
    spec = importlib.util.spec_from_file_location("table_reference", PROJECT / "tools" / "table_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = (PROJECT / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")

    assert page == module.render(), "run python -m tools.table_reference"
