"""Patient ids as keyed digests: the same patient gives the same digest, however an export happens to write the id.

Spreadsheets drop leading zeros, add `.0` and blanks, and change capitals. Ids that differ in nothing else count as one:
an opt-out then reaches one patient too many rather than one too few. An id itself is never stored, logged or shown.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

_NO_ID = "\x1e"
_BETWEEN_IDS = "\x1f"


def normalise_ids(ids: pa.Array) -> pa.Array:
    """Return texts in one spelling: NFKC, small letters, no blanks around; digits without leading zeros and `.0`.

    An id that is empty is null.
    """
    texts = pc.utf8_trim_whitespace(pc.utf8_lower(pc.utf8_normalize(ids, form="NFKC")))
    texts = pc.replace_substring_regex(texts, pattern=r"^([0-9]+)\.0+$", replacement=r"\1")
    texts = pc.replace_substring_regex(texts, pattern=r"^0+([0-9]+)$", replacement=r"\1")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def join_ids(columns: list[pa.Array]) -> pa.Array:
    """Return one normalised text a row out of all its id columns, never null: patients without any id are one person.

    That is the cautious side for counting changes: they can never look like many.
    """
    normalised = [normalise_ids(column) for column in columns]
    return pc.binary_join_element_wise(*normalised, _BETWEEN_IDS, null_handling="replace", null_replacement=_NO_ID)


def digest_texts(texts: pa.Array, key: bytes, *, size: int, purpose: bytes) -> list[bytes]:
    """Return the keyed BLAKE2b (RFC 7693) of each text in `size` bytes; `purpose`, up to 16 bytes, keeps uses apart."""
    keyed = hashlib.blake2b(key=key, digest_size=size, person=purpose)
    digests = []
    for text in texts.cast(pa.binary()).to_pylist():
        one = keyed.copy()  # the key's block is hashed once, not once a row
        one.update(text)
        digests.append(one.digest())
    return digests
