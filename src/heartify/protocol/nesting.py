"""A limit on how deeply JSON may be nested, checked before any parser sees it.

Parsers in C recurse on the C stack and rely on Python's recursion limit to stop them. Libraries that a host process
loads raise that limit to 100,000 (py_ecc, through web3), and then 2 MB of `[` from anybody crash the process. So the
depth is bounded here, in linear time and without recursion. It trusts nothing about the bytes, not even that they
are JSON.
"""

from __future__ import annotations

import re
from itertools import accumulate

from heartify.errors import DocumentError

MAX_NESTING = 64
"""Levels of arrays and objects; the deepest document of the protocol has 7."""

# A string, or the rest of the input when it doesn't end. Possessive, so that no input makes it look back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(set(range(256)) - set(_STEPS))


def check_nesting(data: bytes, what: str) -> None:
    """Check that JSON text is nested at most MAX_NESTING levels deep; `what` names it in the message.

    What is malformed in another way passes here: up to the place where a parser gives up, both count alike.

    Raises:
        DocumentError: nested more deeply.
    """
    brackets = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    if any(depth > MAX_NESTING for depth in accumulate(map(_STEPS.__getitem__, brackets))):
        raise DocumentError(f"{what} is nested more than {MAX_NESTING} levels deep")
