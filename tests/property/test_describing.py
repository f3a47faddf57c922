"""Whatever a source holds, its draft reads back, and a value that fewer than ten rows have isn't in it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.cohort.describing.draft import draft_dictionary
from heartify.cohort.dictionary_toml import parse_steward_dictionary
from heartify.errors import InputError

NAMES = st.one_of(
    st.sampled_from(["age", "sex", "chol", "sbp", "patient_id", "email", "date", "Größe (cm)", "outcome", "time"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=70),
)
CELLS = st.one_of(
    st.none(),
    st.sampled_from(["", "NA", "0", "1", "1.0", "-9", "999", "2020-01-01", "m", "f", "true", "01", "1,5", "1e5", "<5"]),
    st.integers(-(10**16), 10**16).map(str),
    st.floats().map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


class Table:
    name = "fuzz"

    def __init__(self, columns):
        self.columns, self.names = columns, tuple(columns)

    def fraction_read(self):
        return None

    def batches(self):
        rows = len(next(iter(self.columns.values())))
        for start in range(0, rows, 17):
            yield {name: texts[start : start + 17] for name, texts in self.columns.items()}


@st.composite
def tables(draw):
    """Columns of a few different texts, each in few or in many rows."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns = {}
    for name in names:
        pool = draw(st.lists(CELLS, min_size=1, max_size=6))
        columns[name] = [pool[draw(st.integers(0, len(pool) - 1))] for _ in range(12)]
        columns[name] += [pool[0]] * 12
    return columns


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(0, 2**32))
def test_any_table_gives_a_draft_that_reads_back_or_is_refused(columns, seed):
    try:
        draft = draft_dictionary(Table(columns), random=np.random.default_rng(seed))
    except InputError:
        # Nothing could be drafted, as when each column is an id.
        return

    text = draft.to_toml()

    reviewed = text.replace("\nreviewed = false\n", "\nreviewed = true\n", 1)
    assert parse_steward_dictionary(reviewed, file="d.toml") == draft.steward
    drafted = {draft.steward.source_of(column).name for column in draft.steward.dictionary.columns}
    assert drafted | set(draft.left_out) == set(columns)


CANARY = st.one_of(
    st.integers(10_007, 10**9).filter(lambda number: len(set(str(number))) > 3).map(str),
    st.floats(1e3, 1e9).map(lambda number: f"{number:.3f}"),
    st.from_regex(r"[B-DF-HJ-NP-TV-Z]{8,20}", fullmatch=True),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CANARY, min_size=1, max_size=9, unique=True), st.sampled_from(["num", "word", "mix"]))
def test_a_value_of_few_rows_is_not_in_the_draft(canaries, kind):
    common = {"num": ["1", "2", "3.5"], "word": ["red", "blue"], "mix": ["1", "blue"]}[kind] * 40
    columns = {"column": [*common, *canaries], "sex": ["m", "f"] * len(common)}
    columns["sex"] = columns["sex"][: len(columns["column"])]

    text = draft_dictionary(Table(columns), random=np.random.default_rng(1)).to_toml()

    assert not [canary for canary in canaries if canary in text]
