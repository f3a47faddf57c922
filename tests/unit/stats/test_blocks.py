from __future__ import annotations

import re

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, pooled_sd
from heartify.stats.blocks import block_moments


def test_a_block_keeps_its_own_read_only_copy():
    X, y = np.ones((3, 2)), np.array([0, 1, 1])

    block = CohortBlock("a", X, y)
    X[0, 0] = 7.0

    assert block.X[0, 0] == 1.0
    assert block.y.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        block.X[0, 0] = 2.0


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones(3), np.ones(3)),
        (np.ones((3, 1)), np.ones((3, 1))),
        (np.ones((3, 1)), np.ones(2)),
        (np.ones((0, 1)), np.ones(0)),
        (np.array([[1.0], [np.nan]]), np.array([0, 1])),
        (np.array([[1.0], [np.inf]]), np.array([0, 1])),
        (np.ones((2, 1)), np.array([0, 2])),
        (np.ones((2, 1)), np.array([0, np.nan])),
    ],
)
def test_a_malformed_block_is_refused(X, y):
    with pytest.raises(InvalidBlockError):
        CohortBlock("a", X, y)


def test_a_nameless_block_is_refused():
    with pytest.raises(InvalidBlockError, match="name"):
        CohortBlock("", np.ones((2, 1)), np.array([0, 1]))


def test_a_cell_that_is_no_number_is_refused_without_being_quoted():
    with pytest.raises(InvalidBlockError) as caught:
        CohortBlock("a", np.array([["Jane Doe"]]), np.array([1]))

    assert "Jane" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_moments_of_parts_add_up_to_the_moments_of_the_whole():
    X = np.random.default_rng(1).normal(1e6, 1e-2, (500, 3))

    added = block_moments(X[:7]) + block_moments(X[7:120]) + block_moments(X[120:])

    np.testing.assert_allclose(added.sd, X.std(axis=0, ddof=1), rtol=1e-7)
    np.testing.assert_allclose(added.mean, X.mean(axis=0), rtol=1e-15)


@pytest.mark.parametrize("names_and_widths", [[], [("a", 1), ("a", 1)], [("a", 1), ("b", 2)]])
def test_blocks_that_do_not_pool_are_refused(names_and_widths):
    blocks = [CohortBlock(name, np.ones((2, width)), np.array([0, 1])) for name, width in names_and_widths]

    with pytest.raises(InvalidBlockError):
        pooled_sd(blocks)


def test_a_block_does_not_show_its_rows_when_printed():
    block = CohortBlock("a", np.full((2, 1), 173.25), np.array([0, 1]))

    assert "173" not in re.sub("0x[0-9a-f]+", "", f"{block!r} {block}")
