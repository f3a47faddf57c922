"""The plans of the how-to page are plans of its dictionary, and give the tables that the page says.

They are run on a seeded cohort of four hospitals, through the release, with fewer replicates than the page asks for.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from heartify.cohort.dictionary_toml import parse_dictionary_toml
from heartify.disclosure.tables import TABLES
from heartify.enclave.cases import build_cases, category_levels
from heartify.enclave.study import prepare, run_analyses
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.plan import Plan, parse_plan_toml
from heartify.protocol.plan_check import check_plan_fits

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "ask-for-more-than-weights.md"
_SECTION = re.compile(r"^## ([^\n]+)\n\n```toml\n(.*?)^```\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_SECTIONS = _SECTION.findall(_PAGE.read_text(encoding="utf-8"))
_HOSPITALS, _ROWS = ("aspen", "birch", "cedar", "dogwood"), 700
_ONLY_IF_FOUND = {"plausibility"}  # a table without a row is none


def page_dictionary() -> DataDictionary:
    text = _PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    return parse_dictionary_toml(text, file=_PAGE.name)


def generated(seed: int) -> dict[str, np.ndarray]:
    """Return one hospital's columns as read: categories as codes of their levels, gaps in cholesterol."""
    draw = np.random.default_rng(seed)
    n = _ROWS
    age = np.round(draw.uniform(35, 72, n))
    male = (draw.random(n) < 0.5).astype(float)
    sbp = np.round(draw.normal(110 + 0.4 * age, 15))
    smoking = draw.integers(0, 3, n)
    diabetes = (draw.random(n) < 0.25).astype(float)
    pwv = np.round(draw.normal(6 + 0.06 * age, 1.5), 1)
    risk = 0.04 * (age - 55) + 0.4 * male + 0.02 * (sbp - 130) + 0.3 * (smoking == 2) + 0.4 * (pwv - 9)
    event = (draw.random(n) < 1 / (1 + np.exp(0.8 - risk))).astype(float)
    times = np.vstack([draw.exponential(2500 * np.exp(-risk)), draw.exponential(4000, n), draw.uniform(500, 3000, n)])
    chol = np.round(draw.normal(5.5, 1.0, n), 1)
    chol[draw.random(n) < 0.15] = np.nan
    return {
        "age": age,
        "male": male,
        "sbp": sbp,
        "bp_drugs": (draw.random(n) < 0.3).astype(float),
        "chol": chol,
        "hdl": np.round(draw.normal(1.4, 0.25, n), 1),
        "smoking": smoking.astype(np.int32),
        "diabetes": diabetes,
        "pwv": pwv,
        "abi": np.round(draw.normal(1.1, 0.1, n), 2),
        "qt": np.round(draw.normal(400, 25, n)),
        "event": event,
        "status": np.array([1, 2, 0], np.int32)[times.argmin(axis=0)],
        "days": np.ceil(times.min(axis=0)),
    }


def cheaper(plan: Plan) -> Plan:
    """Return the plan with as few replicates as still give intervals."""
    change = msgspec.structs.replace
    if plan.weights is not None:
        plan = change(plan, weights=change(plan.weights, bootstrap=40))
    if plan.performance is not None:
        plan = change(plan, performance=change(plan.performance, optimism=10))
    if plan.selection is not None:
        plan = change(plan, selection=change(plan.selection, pairs=10))
    if plan.missing.method == "multiple-imputation":
        plan = change(plan, missing=change(plan.missing, imputations=3, iterations=3))
    return plan


def test_the_page_has_a_plan_for_each_section_that_a_plan_may_have() -> None:
    asked = [parse_plan_toml(text) for _, text, _ in _SECTIONS if "purpose" in text]

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
    assert len(asked) == 6
    assert [name for name in sections if all(getattr(plan, name) is None for plan in asked)] == []
    assert {plan.missing.method for plan in asked} == {"complete-case", "multiple-imputation"}


@pytest.mark.parametrize(("title", "text", "words"), [row for row in _SECTIONS if "purpose" in row[1]])
def test_a_plan_of_the_page_gives_the_tables_that_the_page_names(title: str, text: str, words: str) -> None:
    dictionary = page_dictionary()
    plan = cheaper(parse_plan_toml(text, source=title))
    check_plan_fits(plan, dictionary)
    levels = category_levels(plan, [dictionary])
    cases = tuple(
        build_cases(plan, dictionary, generated(k), levels, index=k, name=name, version=f"0x{k:064x}")
        for k, name in enumerate(_HOSPITALS)
    )

    tables, skipped = run_analyses(prepare(plan, cases, levels)[0])

    promised = {name for line in words.splitlines() if line.startswith("- ") for name in re.findall(r"`(\w+)`", line)}
    assert skipped == ()
    assert (promised & set(TABLES)) - _ONLY_IF_FOUND - {table.name for table in tables} == set()
    assert promised & set(TABLES)
