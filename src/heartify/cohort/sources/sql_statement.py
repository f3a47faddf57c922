"""What a steward's query must be: one SELECT, with a stated order, that writes nothing.

A look at the words, no parser of any dialect: it stops mistakes early and with clear words. What really keeps the
database as it is, is the read-only transaction and the rights of the account (docs/reference/sources.md).
"""

from __future__ import annotations

import re

from heartify.errors import InputError

MAX_QUERY = 100_000

# Comments, quoted texts and names become one blank each, so that no word in them counts.
_QUIET = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]\n]*\]|\$([A-Za-z_]*)\$.*?\$\1\$", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*|[();]")
# REPLACE and SET are functions' and columns' names too, and never write in a statement that begins with SELECT or WITH.
_WRITES = frozenset(
    {"insert", "update", "delete", "merge", "into", "create", "alter", "drop", "truncate", "grant", "revoke", "call"}
    | {"exec", "execute", "copy", "attach", "pragma", "vacuum"}
)


def check_select(query: str) -> str:
    """Return the query without a closing semicolon.

    Raises InputError when it is not a single SELECT (or WITH ... SELECT), could write, or states no order.
    """
    if len(query) > MAX_QUERY or "\0" in query:
        raise InputError("the query is too long, or holds a NUL", hint=f"at most {MAX_QUERY} characters")
    words = _WORD.findall(_QUIET.sub(" ", query).lower())
    while words and words[-1] == ";":
        words.pop()
    if not words or words[0] not in {"select", "with"} or "select" not in words:
        raise InputError("the query is no SELECT", hint="one statement that begins with SELECT or WITH")
    if ";" in words:
        raise InputError("the query has more than one statement", hint="one SELECT only")
    writing = sorted(set(words) & _WRITES)
    if writing:
        raise InputError(
            f"the query uses the word {writing[0].upper()}, which can write or lock",
            hint="only reading; put a column of that name in quotes",
        )
    if not _has_order(words):
        raise InputError(
            "the query has no ORDER BY at its end", hint="rows must come in the same order each time: ORDER BY the id"
        )
    return query.strip().rstrip(";").rstrip() if query.rstrip().endswith(";") else query.strip()


def _has_order(words: list[str]) -> bool:
    """Tell whether ORDER BY stands outside all parentheses."""
    depth = 0
    for word, following in zip(words, [*words[1:], ""], strict=True):
        depth += (word == "(") - (word == ")")
        if depth == 0 and (word, following) == ("order", "by"):
            return True
    return False
