"""The intercept beside an offset: its equation is solved however far apart the offsets lie, or it is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from heartify.stats import DegenerateOutcomeError, NotConvergedError
from heartify.stats.offset_intercept import fit_offset_intercept


def test_equal_offsets_give_the_observed_log_odds_and_their_standard_error():
    found = fit_offset_intercept(np.full(200, 1.5), 50.0)

    assert found.value == pytest.approx(logit(0.25) - 1.5, abs=1e-12)
    assert found.se == pytest.approx(1.0 / np.sqrt(200 * 0.25 * 0.75), rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [1e-6, 1.0, 10.0])
def test_the_expected_events_are_those_observed_over_offsets_of_any_spread(scale, seed):
    generator = np.random.default_rng(seed)
    offsets = scale * generator.standard_cauchy(20)
    events = float(generator.integers(1, 20))

    found = fit_offset_intercept(offsets, events)

    assert expit(offsets + found.value).sum() == pytest.approx(events, abs=1e-6)


@pytest.mark.parametrize("events", [0.0, 3.0])
def test_an_outcome_that_does_not_vary_has_no_intercept(events):
    with pytest.raises(DegenerateOutcomeError):
        fit_offset_intercept(np.zeros(3), events)


def test_offsets_so_far_apart_that_no_row_is_in_doubt_give_no_standard_error():
    with pytest.raises(NotConvergedError, match="no information"):
        fit_offset_intercept(np.array([-1e4, 1e4]), 1.0)
