"""Sealing: keys from seeds, and what a key or a message must never show. The vectors hold the damaged ciphertexts."""

from __future__ import annotations

import pytest

from heartify.errors import IntegrityError
from heartify.protocol.sealing import PUBLIC_KEY_BYTES, SealingKey, length_prefixed, seal

SEED = bytes(range(32))


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(100_000)])
def test_what_was_sealed_opens(plaintext):
    key = SealingKey.from_seed(SEED)

    sealed = seal(plaintext, key.public_key, b"info")

    assert key.open(sealed, b"info") == plaintext
    assert len(sealed) == 1088 + 32 + len(plaintext) + 16


def test_sealing_twice_gives_different_bytes():
    public_key = SealingKey.from_seed(SEED).public_key

    assert seal(b"x", public_key, b"") != seal(b"x", public_key, b"")


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), bytes(64)])
def test_seed_of_another_length_is_refused(seed):
    with pytest.raises(IntegrityError, match="32 bytes"):
        SealingKey.from_seed(seed)


def test_public_key_has_1216_bytes_and_depends_on_the_seed():
    keys = {SealingKey.from_seed(bytes([number]) * 32).public_key for number in range(3)}

    assert len(keys) == 3
    assert {len(key) for key in keys} == {PUBLIC_KEY_BYTES} == {1216}


def test_repr_shows_no_secret():
    key = SealingKey.from_seed(SEED)

    assert repr(key) == f"SealingKey(public_key={key.public_key[:8].hex()}...)"
    assert str(key) == repr(key)


def test_a_message_that_does_not_open_says_nothing_of_its_content():
    sealed = seal(b"patient value", SealingKey.from_seed(SEED).public_key, b"")

    with pytest.raises(IntegrityError, match=r"^the sealed message does not open$") as refused:
        SealingKey.from_seed(bytes(32)).open(sealed, b"")
    assert refused.value.hint is not None


@pytest.mark.parametrize(
    ("parts", "others"),
    [((b"ab", b"c"), (b"a", b"bc")), ((b"", b"a"), (b"a", b"")), ((b"a",), (b"a", b"")), ((), (b"",))],
)
def test_length_prefixes_keep_parts_apart(parts, others):
    assert length_prefixed(*parts) != length_prefixed(*others)


def test_length_prefix_is_four_bytes_big_endian():
    assert length_prefixed(b"abc", b"") == b"\x00\x00\x00\x03abc\x00\x00\x00\x00"


@pytest.mark.parametrize("change", [-1, 1])
def test_public_key_of_another_length_is_refused_for_its_length(change):
    public_key = SealingKey.from_seed(SEED).public_key + b"\0"

    with pytest.raises(IntegrityError, match=r"must have 1216 bytes"):
        seal(b"", public_key[: PUBLIC_KEY_BYTES + change], b"")
