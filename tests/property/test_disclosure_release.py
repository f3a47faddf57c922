"""Whatever the cohort, what is released keeps to its grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from heartify.disclosure import (
    CohortFacts,
    HospitalFacts,
    OutcomeCount,
    TermFacts,
    WithheldError,
    check_cohort,
    check_released,
    release_fit,
)
from heartify.disclosure.released import build_released_weight
from heartify.disclosure.rounding import round_estimate, round_sd


@dataclass(frozen=True)
class _Intercept:
    hospital: str
    value: float
    se: float


@dataclass(frozen=True)
class _Fit:
    term_names: tuple[str, ...]
    term_coef: np.ndarray
    term_se: np.ndarray
    hospital_intercepts: tuple[_Intercept, ...]
    n: int
    events: int
    auc: float


counts = st.integers(20, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
coefficients = st.floats(-1e6, 1e6)
errors = st.floats(1e-6, 1e6)


def _build(hospitals, coef, se, auc):
    named = [(f"h{h}", OutcomeCount(n, events)) for h, (n, events) in enumerate(hospitals)]
    facts = CohortFacts(tuple(HospitalFacts(*pair) for pair in named), (TermFacts("age", se),), ())
    intercepts = tuple(_Intercept(name, coef, se) for name, _ in named)
    pooled = facts.pooled
    return facts, _Fit(("age",), np.array([coef]), np.array([se]), intercepts, pooled.n, pooled.events, auc)


@seed(2026)
@settings(max_examples=200, deadline=None)
@given(st.lists(counts, min_size=1, max_size=6), coefficients, errors, st.floats(0, 1))
def test_no_released_count_is_under_10_or_off_the_grid_of_5(hospitals, coef, se, auc):
    facts, fit = _build(hospitals, coef, se, auc)

    try:
        document = release_fit(fit, facts).to_dict()
    except WithheldError:
        assert not check_cohort(facts).passed
        return

    rows = document["hospitals"]
    shown = [document["n"], document["events"], document["events_n"]]
    shown += [row[key] for row in rows for key in ("n", "events")]
    shown += [row["n"] - row["events"] for row in rows if row["events"] is not None]
    assert all(count is None or (count >= 10 and count % 5 == 0) for count in shown)
    for row, (n, events) in zip(rows, hospitals, strict=True):
        assert (row["events"] is None) == (min(events, n - events) < 10)
        assert (row["intercept"] is None) == (row["events"] is None)
    check_released(document)


@seed(2026)
@settings(max_examples=200, deadline=None)
@given(st.lists(counts, min_size=2, max_size=5), st.data())
def test_hidden_events_can_change_without_changing_a_digit_of_the_counts(hospitals, data):
    hidden = [h for h, (n, events) in enumerate(hospitals) if min(events, n - events) < 10]
    other = list(hospitals)
    for h in hidden:
        n = hospitals[h][0]
        few = data.draw(st.integers(0, min(9, n)))
        other[h] = (n, data.draw(st.sampled_from([few, n - few])))

    documents = []
    for cohort in (hospitals, other):
        facts, fit = _build(cohort, 0.1, 0.02, 0.7)
        if not check_cohort(facts).passed:
            return
        documents.append(release_fit(fit, facts).to_dict())

    assert documents[0] == documents[1]


@seed(2026)
@settings(max_examples=300, deadline=None)
@given(coefficients, errors)
def test_the_grid_error_is_at_most_a_twentieth_of_the_shown_se(coef, se):
    shown = round_estimate(coef, se)

    assert abs(shown.beta - coef) <= 0.05 * shown.se * (1 + 1e-9) + abs(coef) * 1e-15
    assert abs(shown.se - se) <= 0.05 * se * (1 + 1e-9)
    assert shown.z == shown.steps / 10


@seed(2026)
@settings(max_examples=300, deadline=None)
@given(coefficients, errors, st.floats(1e-6, 1e6))
def test_rounding_a_released_weight_again_changes_nothing(coef, se, sd):
    once = build_released_weight("age", coef, se, round_sd(sd))

    again = build_released_weight("age", once.beta, once.se, round_sd(once.sd))

    assert again == once
