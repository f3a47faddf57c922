"""Study plans: what people may write, and what the canonical form refuses. The vectors hold one fault each."""

from __future__ import annotations

import json

import pytest

from heartify.errors import DocumentError, InputError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.plan import MAX_FACTORS, Plan, Purpose, parse_plan, parse_plan_toml

TOML = """
title = "t"
purpose = "statistics"
outcome = { column = "event", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "cp4", column = "cp", equals = "4" },
           { name = "cp3", column = "cp", equals = "3" }]
"""


def canonical(**changes: object) -> bytes:
    document = json.loads(encode_canonical(parse_plan_toml(TOML)))
    return encode_canonical({**document, **changes})


def test_columns_are_listed_once_and_the_outcome_first():
    assert parse_plan_toml(TOML).columns() == ("event", "age", "cp")


def test_defaults_are_part_of_the_canonical_form():
    document = json.loads(encode_canonical(parse_plan_toml(TOML)))

    assert document["analysis"] == {
        "estimation": "auto",
        "model": "logistic",
        "standard_errors": "model",
        "strata": [],
        "ties": "efron",
    }
    assert document["format"] == "heartify.plan/2"
    assert document["permit"] is None


def test_layout_and_comments_of_the_toml_do_not_change_the_digest():
    other = "# a comment\n" + TOML.replace('title = "t"\n', "") + "title = 't'\n"

    assert parse_plan_toml(other).digest() == parse_plan_toml(TOML).digest()


@pytest.mark.parametrize("factors", [1, MAX_FACTORS])
def test_a_plan_has_up_to_64_factors(factors):
    text = TOML.split("factors", maxsplit=1)[0] + "".join(
        f'[[factors]]\nname = "f{i}"\ncolumn = "age"\n' for i in range(factors)
    )

    assert len(parse_plan_toml(text).factors) == factors


@pytest.mark.parametrize("factors", [0, MAX_FACTORS + 1])
def test_a_plan_without_factors_or_with_65_is_refused(factors):
    rows = ", ".join(f'{{ name = "f{i}", column = "age" }}' for i in range(factors))

    with pytest.raises(InputError, match="factors"):
        parse_plan_toml(TOML.split("factors", maxsplit=1)[0] + f"factors = [{rows}]")


def test_the_message_names_the_file_and_the_place():
    with pytest.raises(InputError, match=r"^mine\.toml: .*\$\.factors\[1\]") as refused:
        parse_plan_toml(TOML.replace('column = "cp"', "column = 4", 1), source="mine.toml")
    assert "docs/reference/plan.md" in str(refused.value.hint)


@pytest.mark.parametrize("text", ["[", "title = ", 'title = "a"\ntitle = "b"', "\x00", "title = " + "[" * 20_000])
def test_text_that_is_no_toml_is_refused(text):
    with pytest.raises(InputError, match="is not TOML"):
        parse_plan_toml(text)


def test_parse_plan_takes_its_own_canonical_form():
    assert parse_plan(canonical()) == parse_plan_toml(TOML)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": {"above": None, "column": "event", "equals": None}},
        {"outcome": {"above": 1, "column": "event", "equals": "1"}},
        {"outcome": {"above": None, "column": "age", "equals": "1"}},
        {"factors": [{"column": "age", "equals": None, "name": "a"}, {"column": "cp", "equals": None, "name": "a"}]},
    ],
)
def test_a_canonical_plan_that_means_nothing_is_refused(change):
    with pytest.raises(InputError):
        parse_plan(canonical(**change))


@pytest.mark.parametrize("change", [{"colour": "red"}, {"title": 7}, {"title": ""}, {"factors": []}, {"purpose": "x"}])
def test_a_malformed_canonical_plan_is_refused(change):
    with pytest.raises(DocumentError, match="not a valid Plan"):
        parse_plan(canonical(**change))


def test_a_plan_in_free_layout_is_not_canonical():
    with pytest.raises(DocumentError, match="not in canonical form"):
        parse_plan(canonical() + b"\n")


def test_purposes_are_the_six_of_the_regulation():
    assert len(Purpose) == 6
    assert isinstance(parse_plan_toml(TOML), Plan)
