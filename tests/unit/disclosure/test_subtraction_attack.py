"""Rule 9's attack: one hospital's hidden events, by subtracting the shown ones from a total."""

from __future__ import annotations

import pytest

from heartify.disclosure import CohortFacts, HospitalFacts, OutcomeCount, TermFacts, release_fit

OTHERS = (("cleveland", 303, 139), ("hungarian", 293, 106), ("va", 144, 114))


@pytest.fixture
def release(make_fit, make_intercept):
    def run(hidden_events):
        counts = (*OTHERS, ("switzerland", 117, hidden_events))
        facts = CohortFacts(
            tuple(HospitalFacts(name, OutcomeCount(n, events)) for name, n, events in counts),
            (TermFacts("age", 9.4), TermFacts("oldpeak", 1.1)),
            (),
        )
        fit = make_fit(
            term_names=("age", "oldpeak"),
            hospital_intercepts=tuple(make_intercept(name, hidden_events / n, 0.5) for name, n, _ in counts),
            n=facts.pooled.n,
            events=facts.pooled.events,
        )
        return facts, release_fit(fit, facts).to_dict()

    return run


def _subtract(total, rows):
    return total - sum(row["events"] for row in rows if row["events"] is not None)


def test_subtracting_from_an_exact_total_would_give_the_hidden_cell_away(release):
    # The attack works on the obvious design: hide the cell, publish the rounded total.
    facts, document = release(109)

    stolen = _subtract(5 * round(facts.pooled.events / 5), document["hospitals"])

    assert abs(stolen - 109) <= 5


def test_subtracting_from_the_released_total_gives_nothing(release):
    _, document = release(109)

    assert document["hospitals"][3]["events"] is None
    assert _subtract(document["events"], document["hospitals"]) == 0
    assert document["events_n"] == document["n"] - document["hospitals"][3]["n"]


@pytest.mark.parametrize("hidden", [0, 3, 9, 108, 113, 117])
def test_no_shown_figure_of_any_hospital_depends_on_the_hidden_events(release, hidden):
    _, reference = release(109)

    _, document = release(hidden)

    for key in ("n", "events", "events_n", "notes"):
        assert document[key] == reference[key]
    for row, same in zip(document["hospitals"], reference["hospitals"], strict=True):
        assert (row["n"], row["events"], row["reason"]) == (same["n"], same["events"], same["reason"])
    assert document["hospitals"][3] == reference["hospitals"][3]
