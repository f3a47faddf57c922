"""Nothing committed names a package registry's host or a path of somebody's machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Written apart, so that this file doesn't hold what it looks for.
_HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "npmjs" + ".com", "yarnpkg" + ".com")
_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/")
_PATTERN = re.compile("|".join(map(re.escape, _HOSTS)) + "|(?<![\\w.~)}-])(?:" + "|".join(map(re.escape, _PATHS)) + ")")


def traces(text: str) -> list[str]:
    return _PATTERN.findall(text)


def test_no_committed_text_names_a_registry_or_a_machines_path(text_files: list[Path], project: Path) -> None:
    found = {
        str(path.relative_to(project)): hits
        for path in text_files
        if (hits := traces(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert found == {}


@pytest.mark.parametrize("text", ["see https://" + _HOSTS[0] + "/simple", "open(" + _PATHS[0] + "x)", _HOSTS[2]])
def test_a_trace_is_noticed(text: str) -> None:
    assert traces(text)


@pytest.mark.parametrize("text", ["out/wo" + "rk/logs", "a ho" + "me/folder", "pypi as a word"])
def test_what_is_no_trace_is_left_alone(text: str) -> None:
    assert not traces(text)


def test_the_search_covers_code_tests_pages_and_locks(text_files: list[Path], project: Path) -> None:
    names = {str(path.relative_to(project)) for path in text_files}

    assert {"README.md", "Makefile", "pyproject.toml", "lock/runtime.txt", "src/heartify/errors.py"} <= names
    assert "contracts/Market.vy" in names
    assert "docs/img/overview.svg" in names
