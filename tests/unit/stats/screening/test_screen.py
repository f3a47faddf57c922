"""The whole screen: streaming, threads, calibration under the null, flags for a refit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import CohortBlock, InvalidBlockError
from heartify.stats.screening import CandidateBlock, ScreenOptions, SurvivalStratum, cox_null, fit_null, screen

ROWS, CANDIDATES = 1500, 2000


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(11)
    hospital = rng.random(ROWS) < 0.4
    X = np.column_stack([rng.normal(60, 10, ROWS), rng.integers(0, 2, ROWS)])
    y = rng.random(ROWS) < 1 / (1 + np.exp(-(-1.2 + 0.05 * (X[:, 0] - 60) + 0.6 * hospital)))
    G = rng.normal(size=(ROWS, CANDIDATES)) + 0.05 * X[:, :1] + hospital[:, None]
    G[:, ::2] = rng.random((ROWS, CANDIDATES // 2)) < rng.uniform(0.1, 0.5, CANDIDATES // 2)
    rows = [hospital, ~hospital]
    null = fit_null([CohortBlock(f"h{k}", X[i], y[i]) for k, i in enumerate(rows)], ["age", "male"])
    names = tuple(f"g{j}" for j in range(CANDIDATES))
    return null, CandidateBlock(names, tuple(G[i] for i in rows)), X, rows


@pytest.mark.parametrize("precision", ["single", "double"])
def test_null_candidates_reject_at_their_level(made, precision):
    null, block, *_ = made

    found = screen(null, [block], ScreenOptions(precision=precision, robust=True))

    # binomial limits, 4 standard errors of a share of 2,000; candidates are independent given the cohort
    assert abs(np.mean(found.p < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / CANDIDATES)
    assert abs(np.mean(found.p < 0.01) - 0.01) < 4 * np.sqrt(0.01 * 0.99 / CANDIDATES)
    assert abs(np.mean(np.abs(found.z_robust) > 1.959964) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / CANDIDATES)
    assert found.lambda_gc == pytest.approx(1.0, abs=0.12)
    assert abs(np.mean(found.heterogeneity.p < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / CANDIDATES)
    assert np.count_nonzero(found.bh < 0.05) <= 2
    inside = (found.qq.observed > found.qq.low) & (found.qq.observed < found.qq.high)
    assert inside.mean() > 0.8


def test_null_candidates_of_a_cox_screen_reject_at_their_level(made):
    _, block, _, rows = made
    rng = np.random.default_rng(3)
    time = np.ceil(rng.exponential(size=ROWS) * 40)
    event = (rng.random(ROWS) < 0.5).astype(float)
    strata = [
        SurvivalStratum(f"h{k}", np.empty((time[i].size, 0)), np.zeros(time[i].size), time[i], event[i])
        for k, i in enumerate(rows)
    ]

    found = screen(cox_null(strata, np.zeros(0)), [block])

    assert abs(np.mean(found.p < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / CANDIDATES)
    assert found.lambda_gc == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_any_number_of_threads_gives_the_same_bits(made, precision):
    null, block, *_ = made

    one, three = (screen(null, [block], ScreenOptions(precision=precision, threads=k)) for k in (1, 3))

    for name in ("u", "V", "z", "p", "bh", "q", "hospital_beta", "leave_one_out_z", "sd", "minor_count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    assert one.names == three.names == block.names


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 199), max_size=4, unique=True))
def test_the_size_of_blocks_changes_nothing(made, cuts):
    null, block, *_ = made
    edges = [0, *sorted(cuts), 200]
    pieces = [CandidateBlock(block.names[a:b], tuple(part[:, a:b] for part in block.parts)) for a, b in pairwise(edges)]

    found = screen(null, pieces)

    whole = screen(null, [CandidateBlock(block.names[:200], tuple(part[:, :200] for part in block.parts))])
    np.testing.assert_allclose(found.z, whole.z, rtol=1e-9, atol=1e-12)
    assert found.names == whole.names


def test_loaders_are_called_once_each_and_one_at_a_time_per_thread(made):
    null, block, *_ = made
    alive, most, calls = 0, 0, []

    def loader(j):
        def load():
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            calls.append(j)
            alive -= 1
            return CandidateBlock(block.names[j : j + 100], tuple(part[:, j : j + 100] for part in block.parts))

        return load

    found = screen(null, (loader(j) for j in range(0, 500, 100)), ScreenOptions(threads=2))

    assert sorted(calls) == [0, 100, 200, 300, 400]
    assert most <= 2
    assert found.names == block.names[:500]


def test_a_planted_candidate_is_found_and_its_scale_is_right(made):
    null, block, *_ = made
    parts = [part[:, :50].copy() for part in block.parts]
    for part, base in zip(parts, null.blocks, strict=True):
        part[:, 7] += 4 * base.y

    found = screen(null, [CandidateBlock(block.names[:50], tuple(parts))])

    assert np.flatnonzero(found.bonferroni < 0.05).tolist() == [7]
    column = np.concatenate([part[:, 7] for part in parts])
    assert found.sd[7] == pytest.approx(column.std(ddof=1), rel=1e-12)
    assert found.se_per_sd[7] == pytest.approx(found.se[7] * column.std(ddof=1), rel=1e-12)
    assert found.log10_p[7] == pytest.approx(np.log10(found.p[7]))


def test_a_hit_that_rests_on_few_patients_is_marked_for_a_refit(made):
    null, *_ = made
    rare = [np.zeros((block.n, 2)) for block in null.blocks]
    for part, base in zip(rare, null.blocks, strict=True):
        part[np.flatnonzero(base.y == 1)[:6], 0] = 1
        part[np.flatnonzero(base.y == 1)[:120], 1] = 1

    found = screen(null, [CandidateBlock(("rare", "common"), tuple(rare))])

    assert list(found.minor_count) == [12, 240]
    assert list(found.needs_refit) == [True, False]


def test_unusable_requests_are_refused(made):
    null, block, *_ = made
    few = CandidateBlock(block.names[:1], tuple(part[:, :1] for part in block.parts))

    with pytest.raises(InvalidBlockError, match="no candidates"):
        screen(null, [])
    with pytest.raises(InvalidBlockError, match="occurs twice"):
        screen(null, [few, few])
    with pytest.raises(InvalidBlockError, match="at least one thread"):
        screen(null, [few], ScreenOptions(threads=0))


def test_without_large_p_values_there_is_no_pi0_and_no_refusal(made):
    null, *_ = made
    marker = CandidateBlock(("y",), tuple((base.y + 0.0)[:, None] for base in null.blocks))

    found = screen(null, [marker], ScreenOptions(pi0_method="lambda"))

    assert np.isnan(found.pi0)
    assert np.isnan(found.q).all()
