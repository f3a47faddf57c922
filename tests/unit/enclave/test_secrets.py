"""Keys inside the enclave: where they are kept, that they are overwritten on every way out, and what is refused."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

import pytest

from heartify.enclave.column_keys import take_column_keys
from heartify.enclave.enclave_keys import EnclaveKeys
from heartify.enclave.secret_memory import SecretMemory, wipe_bytes
from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.key_release import ColumnKeys, parse_column_keys
from heartify.protocol.sealing import seal
from heartify.protocol.signing import recover_address

VERSION = "0x" + "11" * 32


def opened_release(**keys):
    return encode_canonical(ColumnKeys(dataset_version=VERSION, keys=keys))


def digest(byte):
    return "0x" + f"{byte:02x}" * 32


# ---- memory


def test_secret_memory_is_zero_after_wiping_and_so_is_every_view_of_it():
    memory = SecretMemory(64)
    whole, part = memory.view(), memory.view(32, 32)
    whole[:] = b"s" * 64

    memory.wipe()

    assert bytes(whole) == bytes(64)
    assert bytes(part) == bytes(32)
    memory.wipe()  # a second time is harmless


def smaps_of(view):
    """The kernel's words about the pages that a view lies in."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    found, inside = "", False
    for line in Path("/proc/self/smaps").read_text().splitlines(keepends=True):
        head = line.split(" ", 1)[0]
        if "-" in head:
            start, end = (int(part, 16) for part in head.split("-"))
            inside = start <= address < end
        found += line if inside else ""
    return found


def test_secret_memory_is_locked_not_dumped_and_empty_in_a_child():
    memory = SecretMemory(32)
    memory.view()[:] = b"s" * 32

    flags = next(line for line in smaps_of(memory.view()).splitlines() if line.startswith("VmFlags")).split()

    assert {"lo", "dd", "wf"} <= set(flags)


def test_secret_memory_shows_its_size_and_no_content():
    memory = SecretMemory(5)
    memory.view()[:] = b"abcde"

    assert repr(memory) == "SecretMemory(5 bytes)"


def test_bytes_object_is_overwritten_in_place():
    secret = os.urandom(32)
    before = bytes(bytearray(secret))

    wipe_bytes(secret)

    assert secret == bytes(32) != before


def test_objects_that_the_interpreter_shares_are_left_alone():
    wipe_bytes(b"")
    wipe_bytes(b"a")

    assert bytes([97]) == b"a"


# ---- column keys


def test_keys_are_taken_as_protocol_reads_them_and_the_text_is_overwritten():
    opened = opened_release(age=digest(0xA1), chol=digest(0xB2), **{'a"b': digest(0xC3)})
    expected = parse_column_keys(opened)

    keyring = take_column_keys(opened, VERSION)

    assert {name: bytes(view) for name, view in keyring.views().items()} == expected
    assert opened == bytes(len(opened))
    assert "a1" not in repr(keyring)


def test_keys_of_another_version_are_refused_and_overwritten():
    opened = opened_release(age=digest(0xA1))

    with pytest.raises(IntegrityError, match="another dataset version"):
        take_column_keys(opened, "0x" + "22" * 32)
    assert opened == bytes(len(opened))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"age"', b'"AGE"').replace(b'"chol"', b'"AGE"'),  # one name twice
        lambda text: text.replace(b'{"dataset', b'{ "dataset'),
        lambda text: text[:-1],
        lambda text: text.replace(b"a1a1", b"A1A1"),
        lambda text: text.replace(b"a1", b"", 1),
        lambda text: text.replace(b'"keys":{', b'"keys":{"more":1,'),
        lambda text: text.replace(b'"age"', b'"0x' + b"00" * 32 + b'"'),  # a name that looks like a key
        lambda _: b"",
        lambda _: b"[]",
    ],
)
def test_text_that_is_no_canonical_release_is_refused_and_overwritten(change):
    opened = bytes(bytearray(change(opened_release(age=digest(0xA1), chol=digest(0xB2)))))

    with pytest.raises((IntegrityError, DocumentError)) as caught:
        take_column_keys(opened, VERSION)
    assert "a1a1" not in str(caught.value)
    assert opened == bytes(len(opened))


# ---- the enclave's own keys


def test_enclave_keys_open_and_sign_until_they_are_let_go():
    keys = EnclaveKeys.generate()
    sealed = seal(b"secret", bytes.fromhex(keys.encryption_public_key[2:]), b"info")

    assert keys.open(sealed, b"info") == b"secret"
    assert recover_address(bytes(32), keys.sign(bytes(32))) == keys.address

    keys.forget_sealing()
    with pytest.raises(IntegrityError, match="let go"):
        keys.open(sealed, b"info")
    assert recover_address(bytes(32), keys.sign(bytes(32))) == keys.address

    signing = keys._signing.view()
    keys.wipe()
    assert bytes(signing) == bytes(32)


def test_two_enclaves_have_different_keys():
    first, second = EnclaveKeys.generate(), EnclaveKeys.generate()

    assert first.address != second.address
    assert first.encryption_public_key != second.encryption_public_key


# ---- every way out


class Witnesses:
    """A host that looks at all secret memory of this process whenever the enclave asks for something."""

    def __init__(self):
        self.found = {}

    def lies(self, lies):
        return {operation: self._look_first(lies.get(operation)) for operation in OPERATIONS}

    def _look_first(self, lie):
        def answer(host, header, honest):
            # The enclave's thread waits for this answer, so what it holds now it holds for a reason.
            for thing in gc.get_objects():
                if isinstance(thing, SecretMemory) and any(thing.view()):
                    self.found[id(thing)] = thing
            return honest() if lie is None else lie(host, header, honest)

        return answer

    def check_all_are_zero(self, *, at_least):
        assert len(self.found) >= at_least
        for memory in self.found.values():
            assert bytes(memory.view()) == bytes(len(memory.view()))


OPERATIONS = ("challenge", "quote", "release", "file")


def damage(_host, _header, honest):
    reply, body = honest()
    return reply, body[:-1]


def first_honest_then(operation, answer):
    def lie(host, _header, honest):
        host.memory[operation] = host.memory.get(operation, 0) + 1
        return honest() if host.memory[operation] == 1 else answer

    return {operation: lie}


NONSENSE = ({"op": "nonsense"}, b"")
# The way out, its lies, and how many pieces of secret memory a host can have seen in use.
WAYS_OUT = {
    "delivered": ({}, 4),
    "damaged file": ({"file": damage}, 4),
    "hang-up at a file": (first_honest_then("file", None), 4),
    "nonsense after the first release": (first_honest_then("challenge", NONSENSE), 2),
    "hang-up at the second release": (first_honest_then("release", None), 2),
    "no release at all": ({"challenge": lambda *_: ({"op": "challenge", "ok": False}, b"")}, 1),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_key_was_in_secret_memory_and_is_zero_after_the_run(world, way):
    lies, seen = WAYS_OUT[way]
    witnesses = Witnesses()

    world.run(witnesses.lies(lies))

    witnesses.check_all_are_zero(at_least=seen)


def test_keys_of_too_few_hospitals_are_wiped(strict_world):
    witnesses = Witnesses()

    strict_world.run(
        witnesses.lies({"quote": lambda _host, _header, honest: honest(), **first_two_releases_only()}),
    )

    witnesses.check_all_are_zero(at_least=3)


def first_two_releases_only():
    def lie(_host, header, honest):
        return ({"op": "release", "ok": False}, b"") if header["grant"] == 2 else honest()

    return {"release": lie}
