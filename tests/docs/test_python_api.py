"""The Python example is true: its fences are run in order, in one process, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(project: Path) -> str:
    return "\n".join(_FENCE.findall((project / "docs" / "how-to" / "python-api.md").read_text(encoding="utf-8")))


def test_the_python_example_opens_a_verified_result(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    try:
        exec(compile(example, "python-api.md", "exec"), names)  # noqa: S102 - the page is ours
    finally:
        if "chain" in names:
            names["chain"].stop()  # type: ignore[attr-defined]

    opened = names["opened"]
    printed = capsys.readouterr().out
    assert opened.verification.verified  # type: ignore[attr-defined]
    assert opened.settlement.outcome == "delivered"  # type: ignore[attr-defined]
    assert opened.result.n > 2000  # type: ignore[attr-defined]
    assert printed.startswith("560000000 ['aspen', 'birch']\n")
    assert "over the limit of 1" in printed
