"""Every threat and every security property names code that exists and a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")
_PAGES = {"SECURITY.md": 60, "docs/security/threat-model.md": 250}


def rows_of(page: Path) -> list[list[str]]:
    """Return the cells of each row of tables whose last column is the guarding test."""
    rows = []
    is_wanted = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            is_wanted = False
        elif cells[-1].strip(" |") in {"test", "guarding test"}:
            is_wanted = True
        elif is_wanted and not line.startswith("|---"):
            rows.append(cells)
    return rows


@pytest.mark.parametrize("page", _PAGES)
def test_every_row_names_a_test_that_exists(project: Path, page: str) -> None:
    rows = rows_of(project / page)

    assert len(rows) >= _PAGES[page]
    for row in rows:
        named = _TEST.search(row[-1])
        assert named is not None, row
        path = project / named[1]
        assert path.exists(), row
        assert re.search(rf"^\s*def {named[2]}\(", path.read_text(encoding="utf-8"), re.MULTILINE), row


@pytest.mark.parametrize("page", _PAGES)
def test_every_row_names_code_that_exists(project: Path, page: str) -> None:
    for row in rows_of(project / page):
        for name in re.findall(r"`([\w/.]+\.(?:py|vy))`", row[-2]):
            assert any((root / name).exists() for root in (project, project / "src" / "heartify")), row


def test_every_keystore_and_key_file_is_in_the_inventory(project: Path) -> None:
    inventory = (project / "docs" / "security" / "key-inventory.md").read_text(encoding="utf-8")
    homes = [project / "src" / "heartify" / room / "home.py" for room in ("hospital", "lab", "pool")]

    files = {
        name
        for home in homes
        for name in re.findall(r'_keystore.*?self\.path / "([\w.-]+)"', home.read_text(), re.DOTALL)
    }

    assert files >= {"account.json", "broker.json", "vault.json", "result-key.json"}
    assert [name for name in sorted(files) if f"`{name}`" not in inventory] == []
