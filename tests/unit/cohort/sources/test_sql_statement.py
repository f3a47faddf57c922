"""A query is one ordered SELECT that reads."""

from __future__ import annotations

import pytest

from heartify.cohort.sources.sql_statement import MAX_QUERY, check_select
from heartify.errors import InputError


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM t ORDER BY id",
        " select a from t order\n by id ; ",
        "WITH s AS (SELECT * FROM t) SELECT * FROM s ORDER BY id",
        "SELECT replace(a, ',', '.') AS a FROM t ORDER BY id",
        "SELECT a, ';', 'it''s; DROP TABLE t' FROM t ORDER BY id -- ; delete",
        'SELECT "update", [insert], `delete` FROM t /* ; drop */ ORDER BY id',
        "SELECT row_number() OVER (ORDER BY b) FROM t ORDER BY id",
        "SELECT $$ ; drop $$ FROM t ORDER BY id",
        "SELECT updated_at FROM t ORDER BY id",
    ],
)
def test_a_query_that_reads_in_a_stated_order_is_accepted_as_it_is(query: str) -> None:
    assert check_select(query) == query.strip().removesuffix(";").strip()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "no SELECT"),
        ("-- SELECT a FROM t ORDER BY id", "no SELECT"),
        ("DELETE FROM t", "no SELECT"),
        ("EXPLAIN SELECT a FROM t ORDER BY id", "no SELECT"),
        ("WITH s AS (VALUES (1)) TABLE s", "no SELECT"),
        ("SELECT a FROM t ORDER BY id; SELECT 1", "more than one statement"),
        ("SELECT a FROM t ORDER BY id; DROP TABLE t;", "more than one statement"),
        ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d ORDER BY id", "the word DELETE"),
        ("SELECT a INTO new FROM t ORDER BY id", "the word INTO"),
        ("SELECT a FROM t ORDER BY id FOR UPDATE", "the word UPDATE"),
        ("SELECT a FROM t", "no ORDER BY"),
        ("SELECT a FROM (SELECT a FROM t ORDER BY id) s", "no ORDER BY"),
        ("SELECT row_number() OVER (ORDER BY b) FROM t", "no ORDER BY"),
        ("SELECT 'order by' FROM t", "no ORDER BY"),
        ("SELECT a FROM t -- ORDER BY id", "no ORDER BY"),
        ("SELECT a FROM t ORDER BY id\0", "NUL"),
        ("SELECT a FROM t ORDER BY id".ljust(MAX_QUERY + 1), "too long"),
    ],
)
def test_a_query_that_could_write_or_has_no_order_is_refused(query: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_select(query)
