"""The pages on mappings show mappings that are accepted, and the reference names every field, rule, kind and reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from heartify.cohort.events import mapping as module
from heartify.cohort.events.mapping import parse_mapping
from heartify.cohort.events.mapping_checks import check_mapping
from heartify.protocol.dictionary import Column, DataDictionary, Level

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGES = ("reference/mapping.md", "how-to/publish-from-omop-or-fhir.md")


def column(name: str, datatype: str, role: str = "factor", **more: object) -> Column:
    return Column(name=name, title=name, datatype=datatype, role=role, **more)


def levels(*codes: str) -> tuple[Level, ...]:
    return tuple(Level(code=code, label=code) for code in codes)


COLUMNS = {
    "patient": column("patient", "category", "id"),
    "age": column("age", "integer", unit="a"),
    "sex": column("sex", "category", levels=levels("1", "2")),
    "systolic": column("systolic", "number", unit="mm[Hg]"),
    "cholesterol": column("cholesterol", "number", unit="mmol/L", loinc="2093-3"),
    "smoking": column("smoking", "category", levels=levels("never", "former", "current")),
    "diabetes": column("diabetes", "boolean"),
    "event": column("event", "boolean", "outcome"),
    "cvd": column("cvd", "boolean", "outcome"),
    "days": column("days", "integer", "time", unit="d"),
}


@pytest.mark.parametrize("page", PAGES)
def test_every_mapping_on_a_page_is_accepted(page: str) -> None:
    fences = re.findall(r"^```toml\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    for fence in fences:
        mapping = parse_mapping(fence, file=page)
        columns = tuple(COLUMNS[rule.name] for rule in mapping.columns)
        check_mapping(mapping, DataDictionary(title="T", description="", columns=columns))
    assert len(fences) == 1


def test_the_reference_names_every_rule_kind_and_field() -> None:
    page = (DOCS / "reference" / "mapping.md").read_text(encoding="utf-8")
    structs = [*get_args(module.IndexRule), *get_args(module.ColumnRule), module.SourceRule]

    for struct in structs:
        tag = struct.__struct_config__.tag
        names = {field.name for field in msgspec.structs.fields(struct)} | ({tag} if tag else set())
        assert {name for name in names if f"`{name}`" not in page and f"`{name} = " not in page} == set()
    assert len(structs) == 16
