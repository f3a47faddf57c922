"""A plan against a grant policy."""

from __future__ import annotations

import msgspec
import pytest

from heartify.errors import DocumentError, PolicyError
from heartify.protocol.canonical import encode_canonical, parse_canonical, sha256_digest
from heartify.protocol.grant_policy import GrantPolicy, check_plan_permitted
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose

POLICY = GrantPolicy(hospital="h", columns=("event", "age"), purposes=(Purpose.STATISTICS,))
PLAN = Plan(
    title="t",
    purpose=Purpose.STATISTICS,
    outcome=OutcomeSpec(column="event", equals="1"),
    factors=(FactorSpec(name="age", column="age"),),
)


def test_a_plan_within_the_grant_passes():
    check_plan_permitted(PLAN, POLICY)


@pytest.mark.parametrize("columns", [("age",), ("event",), ("Event", "age")])
def test_a_column_that_is_not_granted_is_refused(columns):
    with pytest.raises(PolicyError, match="does not cover the columns"):
        check_plan_permitted(PLAN, msgspec.structs.replace(POLICY, columns=columns))


def test_another_purpose_is_refused():
    plan = msgspec.structs.replace(PLAN, purpose=Purpose.POLICY)

    with pytest.raises(PolicyError, match="the purpose policy is not granted"):
        check_plan_permitted(plan, POLICY)


@pytest.mark.parametrize("permit", [None, "P-2", "p-1", ""])
def test_a_missing_or_other_permit_is_refused(permit):
    plan = msgspec.structs.replace(PLAN, permit=permit)

    with pytest.raises(PolicyError, match="demands a permit"):
        check_plan_permitted(plan, msgspec.structs.replace(POLICY, permit="P-1"))


def test_the_demanded_permit_passes_and_an_unasked_one_does_no_harm():
    plan = msgspec.structs.replace(PLAN, permit="P-1")

    check_plan_permitted(plan, msgspec.structs.replace(POLICY, permit="P-1"))
    check_plan_permitted(plan, POLICY)


def test_digest_is_that_of_the_canonical_bytes():
    assert POLICY.digest() == sha256_digest(encode_canonical(POLICY))


def test_another_disclosure_profile_is_refused():
    document = encode_canonical(POLICY).replace(b"sdc-1", b"sdc-0")

    with pytest.raises(DocumentError, match="not a valid GrantPolicy"):
        parse_canonical(document, GrantPolicy)
