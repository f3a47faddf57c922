"""The written specification says what the code does: types, codes, tags, limits, and every field of a document."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from heartify.errors import InputError
from heartify.lab.settlement import PaymentRow, SettlementDocument
from heartify.protocol import frames, nesting, orders
from heartify.protocol.audit_anchor import AuditAnchor, SignedAuditAnchor
from heartify.protocol.bundle import Receipt, ReleaseRecord
from heartify.protocol.canonical import MAX_DOCUMENT_BYTES
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import encode_type
from heartify.protocol.evidence import TEE_KIND_NAMES
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import Challenge, Release, ReleaseRequest
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, Request
from heartify.protocol.outcomes import DealState, FailureCode
from heartify.protocol.plan import AnalysisSpec, FactorSpec, FollowUpSpec, OutcomeSpec, Plan, Purpose, parse_plan_toml
from heartify.protocol.plan_analyses import (
    IncrementSpec,
    MissingSpec,
    PerformanceSpec,
    ScreenSpec,
    SelectionSpec,
    WeightsSpec,
)
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.result import MAX_RESULT_BYTES, HospitalResult, StudyResult, Weight
from heartify.protocol.size_class import SIZE_CLASSES

DOCS = Path(__file__).parents[3] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


SPEC, PLAN, RESULT, GLOSSARY = (
    page(name) for name in ("spec/protocol.md", "reference/plan.md", "reference/result.md", "glossary.md")
)


def first_cells(text: str) -> set[str]:
    """Return the names in the first column of all tables."""
    cells = re.findall(r"^\| ([^|]*) \|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize(
    "kind", [DatasetGrant, AppOffer, PoolOffer, Request, Deal, KeyReceipt, Settlement, AuditAnchor]
)
def test_each_type_string_stands_in_the_specification(kind):
    assert f"\n    {encode_type(kind)}\n" in SPEC


@pytest.mark.parametrize("kind", [DatasetGrant, Settlement, Request])
def test_each_field_of_a_typed_struct_is_explained(kind):
    assert set(kind.__dataclass_fields__) <= first_cells(SPEC)


@pytest.mark.parametrize("kind", [GrantPolicy, Challenge, Release, ReleaseRequest, SignedAuditAnchor])
def test_each_field_of_a_message_is_explained(kind):
    assert set(kind.__struct_fields__) <= first_cells(SPEC)


def test_failure_codes_states_and_size_classes_are_listed_with_their_numbers():
    codes = dict(re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", SPEC, flags=re.MULTILINE))

    assert codes == {str(int(code)): code.label for code in FailureCode}
    for state in DealState:
        assert f"| {state.name.lower()} | {int(state)} |" in SPEC
    for size in SIZE_CLASSES:
        memory = size.max_memory_bytes // 2**30
        data = f"{size.max_rows:,} | {size.max_cells:,}"
        assert f"| {size.number} | {size.name} | {data} | {memory} GiB | {size.max_seconds:,} s |" in SPEC


def test_limits_are_those_of_the_code():
    for limit in (MAX_DOCUMENT_BYTES, frames.MAX_HEADER_BYTES, frames.MAX_BODY_BYTES, MAX_RESULT_BYTES):
        assert f"{limit:,}" in SPEC
    assert f"more than {nesting.MAX_NESTING} levels" in SPEC
    assert f"1 to {orders.MAX_GRANTS}" in SPEC


def test_tags_and_names_are_those_of_the_code():
    sources = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "src/heartify/protocol").glob("*.py"))
    tags = set(re.findall(r"heartify/[a-z-]+/v\d+", sources))

    assert len(tags) == 6
    assert tags <= set(re.findall(r"heartify/[a-z-]+/v\d+", SPEC))
    for name in (*TEE_KIND_NAMES, *(purpose.value for purpose in Purpose)):
        assert f"`{name}`" in SPEC


FENCES = re.findall(r"^```toml\n(.*?)^```", PLAN, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", FENCES)
def test_each_example_plan_is_a_plan(text):
    plan = parse_plan_toml(text)

    assert plan.title == tomllib.loads(text)["title"]


def test_plan_reference_has_examples_all_fields_and_all_purposes():
    kinds = (Plan, OutcomeSpec, FollowUpSpec, FactorSpec, AnalysisSpec, MissingSpec, WeightsSpec, PerformanceSpec,
             IncrementSpec, SelectionSpec, ScreenSpec)  # fmt: skip
    fields = {name for kind in kinds for name in kind.__struct_fields__}

    assert len(FENCES) == 5
    assert fields | {purpose.value for purpose in Purpose} <= first_cells(PLAN)


def test_the_error_message_of_the_plan_reference_is_the_real_one():
    with pytest.raises(InputError) as refused:
        parse_plan_toml(FENCES[1].replace('column = "smoker"', "column = 3"))

    assert str(refused.value) in PLAN


@pytest.mark.parametrize(
    "kind", [StudyResult, Weight, HospitalResult, Receipt, ReleaseRecord, SettlementDocument, PaymentRow]
)
def test_result_reference_explains_every_field(kind):
    explained = first_cells(RESULT) | set(re.findall(r"`([a-z_]+)`", RESULT.split("| `releases` |")[1].split("\n")[0]))

    assert set(kind.__struct_fields__) <= explained


def test_the_example_result_is_a_result():
    (text,) = re.findall(r"^```json\n(.*?)^```", RESULT, flags=re.MULTILINE | re.DOTALL)

    result = msgspec.json.decode(text, type=StudyResult)

    assert set(json.loads(text)) == set(StudyResult.__struct_fields__)
    assert [hospital.status for hospital in result.hospitals] == ["contributed", "left_out"]


def test_glossary_paths_exist():
    modules = re.findall(r"`(heartify(?:\.[a-z_0-9]+)+)`", GLOSSARY)
    folders = re.findall(r"`((?:tests|contracts)/[a-z/]*)`", GLOSSARY)

    assert len(modules) > 40
    for module in modules:
        place = DOCS.parent / "src" / module.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), module
    assert all((DOCS.parent / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("kind", [DealGrant])
def test_inner_struct_of_the_deal_is_in_its_type_string(kind):
    assert encode_type(kind) in SPEC


def test_links_between_these_pages_lead_to_files():
    for name in ("spec/protocol.md", "spec/vectors.md", "reference/plan.md", "reference/result.md", "glossary.md"):
        for target in re.findall(r"\]\(([^)#]+)", page(name)):
            assert (DOCS / name).parent.joinpath(target).resolve().is_file(), (name, target)
