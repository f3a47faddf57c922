"""The page of findings names every code that the linter can raise, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from heartify.cohort.lint import findings, identifying_names, identifying_texts

_CODE = re.compile(r"[a-z]+(-[a-z0-9]+)+")
_PARTS_OF_CODES = {"birth-date", "record-number", "times-ten"}


def codes_of_source() -> set[str]:
    folder = Path(findings.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    written = {text for text in texts if isinstance(text, str) and _CODE.fullmatch(text)}
    names = {*identifying_names._WORDS, *identifying_names._PAIRS.values()}
    built = {f"identifier-{kind}" for kind in names} | {f"pattern-{kind}" for kind, _ in identifying_texts._KINDS}
    return written - _PARTS_OF_CODES | built | {"constant", "pressure-times-ten", "pressure-tenth"}


def test_every_code_has_its_line_on_the_page() -> None:
    page = Path(__file__).parents[4] / "docs" / "reference" / "findings.md"
    rows = [line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    documented = {code for row in rows for code in re.findall(r"`([a-z0-9-]+)", row)}

    assert documented == codes_of_source()
