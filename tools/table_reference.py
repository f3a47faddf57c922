"""Write docs/reference/tables.md from the closed list of tables: `python -m tools.table_reference [--check]`.

The page is the list that the last gate goes by, in the words of the report, so it can't drift; a test holds it
to the committed file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from heartify.disclosure.cells import Kind
from heartify.disclosure.tables import TABLES, TableSpec
from heartify.lab.report.table_words import TABLE_WORDS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "tables.md"
_HEAD = """\
# The tables of a result

<!-- made by `python -m tools.table_reference`; edit the list of tables, not this page -->

Beside the weights, `result.json` holds the tables that the plan asked for, and no others: this list is closed.
Each column is of a kind, and each kind has a grid; there is no kind for an exact number.
A cell is null where it is suppressed or not estimable.

| kind | what it holds | what is shown |
|---|---|---|
"""
_KINDS: dict[Kind, tuple[str, str]] = {
    Kind.LABEL: ("a name of the plan, the dictionary or a hospital, or a word of a closed list", "as it is"),
    Kind.NUMBER: ("a whole number that tells nothing of a patient, such as degrees of freedom", "as it is"),
    Kind.COUNT: ("patients", "null under 10, else to the nearest 5"),
    Kind.SE: ("a standard error", "2 significant digits"),
    Kind.ESTIMATE: ("an estimate", "a multiple of a tenth of its row's standard error"),
    Kind.BOUND: ("a limit of an interval", "on the same grid"),
    Kind.P: ("a p-value", "text: 2 significant digits, or `<0.001`"),
    Kind.CHI2: ("a chi-square", "the square of a multiple of a tenth, as z is one"),
    Kind.STATISTIC: ("a test statistic or a variance component", "3 significant digits"),
    Kind.MAGNITUDE: ("a mean, a standard deviation, a point in clinical units", "3 significant digits"),
    Kind.INDEX: ("an AUC, a probability, a share", "2 decimals"),
    Kind.FINE_INDEX: ("a Brier score, an R2, a net benefit", "3 decimals"),
}


def render() -> str:
    """Return the page's text."""
    kinds = [f"| `{kind}` | {holds} | {shown} |" for kind, (holds, shown) in _KINDS.items()]
    return "\n".join([_HEAD + "\n".join(kinds), *(line for spec in TABLES.values() for line in _section(spec))]) + "\n"


def _section(spec: TableSpec) -> Iterator[str]:
    yield ""
    yield f"## `{spec.name}`"
    yield ""
    yield TABLE_WORDS[spec.name].explanation
    if spec.needs:
        needs = " and ".join(f"`{name}`" for name in spec.needs)
        yield f"Where {needs} is suppressed, so is every other figure of the row."
    yield f"At most {spec.max_rows} rows."
    yield ""
    yield "| column | kind |"
    yield "|---|---|"
    for column in spec.columns:
        yield f"| `{column.name}` | {column.kind}{f' on the grid of `{column.se}`' if column.se else ''} |"


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say whether it is current."""
    text = render()
    if "--check" in arguments:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        sys.stderr.write("" if current else f"{PAGE.name} is not current: run python -m tools.table_reference\n")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
