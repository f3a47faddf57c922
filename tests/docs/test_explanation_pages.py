"""What the pages of explanation and how-to name, exists: tests, referees, source files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_NAMED = re.compile(r"`((?:tests|referee|src|enclave|stats|disclosure|cohort|bench)/[\w/]+(?:\.py|\.R)?)(?:::(\w+))?`")
_ROOTS = ("", "src/heartify")


def problem_of(project: Path, name: str, test: str) -> str | None:
    found = [project / root / name for root in _ROOTS if (project / root / name).exists()]
    if not found:
        return None if name == "bench/results" else f"{name} doesn't exist"
    if test and not re.search(rf"^\s*def {test}\(", found[0].read_text(encoding="utf-8"), re.MULTILINE):
        return f"{name} has no {test}"
    return None


@pytest.mark.parametrize("folder", ["explanation", "how-to"])
def test_every_path_that_a_page_names_exists(project: Path, folder: str) -> None:
    pages = sorted((project / "docs" / folder).glob("*.md"))
    named = [(page.name, *pair) for page in pages for pair in _NAMED.findall(page.read_text(encoding="utf-8"))]

    problems = [f"{page}: {problem}" for page, *pair in named if (problem := problem_of(project, *pair))]

    assert problems == []
    assert len(named) > (50 if folder == "explanation" else -1)


def test_a_path_or_test_that_is_gone_is_noticed(project: Path) -> None:
    here = "tests/docs/test_explanation_pages.py"

    assert problem_of(project, "stats/no_such.py", "") == "stats/no_such.py doesn't exist"
    assert problem_of(project, here, "test_of_nothing") == f"{here} has no test_of_nothing"
    assert problem_of(project, here, "test_a_path_or_test_that_is_gone_is_noticed") is None


def test_the_map_of_statistics_leads_to_a_page_for_each_analysis(project: Path) -> None:
    text = (project / "docs" / "explanation" / "statistics.md").read_text(encoding="utf-8")
    sections = (
        "describe",
        "weights",
        "heterogeneity",
        "performance",
        "increment",
        "selection",
        "competing_risks",
        "screen",
    )

    rows = [line for line in text.splitlines() if line.startswith("|") and "](" in line]

    assert [name for name in (*sections, "missing") if not any(f"`[{name}]`" in row for row in rows)] == []
