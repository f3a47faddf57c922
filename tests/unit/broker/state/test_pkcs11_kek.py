"""A KEK in a token: it wraps, never leaves, survives a lost session, and every fault is an error of our family."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import secrets
import subprocess
import sys

import pytest

from heartify.broker.kek.choose_kek import PIN_VARIABLE, choose_kek
from heartify.broker.kek.pkcs11_kek import Pkcs11Kek, TokenPlace, create_pkcs11_key
from heartify.broker.kek.settings import TokenKek
from heartify.broker.vault import Vault
from heartify.errors import IntegrityError, KeystoreError, UsageError

SECRET = bytes(range(32))
VERSION = "0x" + "aa" * 32


@pytest.fixture
def kek(token):
    label = f"kek-{secrets.token_hex(4)}"
    create_pkcs11_key(token.place(label), token.pin)
    opened = Pkcs11Kek(token.place(label), token.pin)
    yield opened
    opened.close()


def test_what_was_wrapped_opens_again_and_every_call_gives_other_bytes(kek):
    first, second = kek.wrap(SECRET, b"context"), kek.wrap(SECRET, b"context")

    assert first != second
    assert SECRET not in first
    assert kek.unwrap(first, b"context") == kek.unwrap(second, b"context") == SECRET


def test_what_is_stored_is_nonce_ciphertext_and_tag(kek):
    assert len(kek.wrap(SECRET, b"")) == 12 + len(SECRET) + 16


def test_the_key_does_not_leave_the_token(token, kek):
    import pkcs11

    session = pkcs11.lib(token.module).get_token(token_label="hospital").open()
    (found,) = [key for key in session.get_objects() if bytes(key[pkcs11.Attribute.ID]).hex() == kek.kek_id[7:]]

    with pytest.raises((pkcs11.AttributeSensitive, pkcs11.AttributeTypeInvalid)):
        found[pkcs11.Attribute.VALUE]
    assert not found[pkcs11.Attribute.EXTRACTABLE]
    assert found[pkcs11.Attribute.NEVER_EXTRACTABLE]
    assert not found[pkcs11.Attribute.WRAP]


@pytest.mark.parametrize("byte", [0, 11, 12, 43, 44, 59])
def test_one_flipped_bit_in_nonce_ciphertext_or_tag_is_an_integrity_error(kek, byte):
    wrapped = bytearray(kek.wrap(SECRET, b"context"))
    wrapped[byte] ^= 1

    with pytest.raises(IntegrityError, match="does not open"):
        kek.unwrap(bytes(wrapped), b"context")
    assert kek.unwrap(kek.wrap(SECRET, b"context"), b"context") == SECRET


@pytest.mark.parametrize("wrapped", [b"", b"x" * 27])
def test_too_short_to_be_wrapped_is_an_integrity_error(kek, wrapped):
    with pytest.raises(IntegrityError, match="does not open"):
        kek.unwrap(wrapped, b"")


def test_another_context_is_an_integrity_error(kek):
    with pytest.raises(IntegrityError, match="does not open"):
        kek.unwrap(kek.wrap(SECRET, b"one"), b"two")


def test_another_key_of_the_same_token_is_an_integrity_error(token, kek):
    create_pkcs11_key(token.place(other := f"other-{secrets.token_hex(4)}"), token.pin)

    with pytest.raises(IntegrityError, match="does not open"):
        Pkcs11Kek(token.place(other), token.pin).unwrap(kek.wrap(SECRET, b""), b"")


def test_vault_names_the_key_that_it_lacks(token, kek):
    create_pkcs11_key(token.place(label := f"other-{secrets.token_hex(4)}"), token.pin)
    other = Pkcs11Kek(token.place(label), token.pin)

    with pytest.raises(IntegrityError, match=f"wrapped by {kek.kek_id}, the broker has {other.kek_id}"):
        Vault(other).unwrap(VERSION, Vault(kek).wrap(VERSION, SECRET))
    assert Vault(kek).unwrap(VERSION, Vault(kek).wrap(VERSION, SECRET)) == SECRET


def test_a_lost_session_is_opened_anew(token, kek):
    import pkcs11

    wrapped = kek.wrap(SECRET, b"")
    pkcs11.lib(token.module).reinitialize()  # every session and login of this process is gone

    assert kek.unwrap(wrapped, b"") == SECRET
    kek.close()
    assert kek.unwrap(kek.wrap(SECRET, b""), b"") == SECRET


def test_many_threads_share_one_key(kek):
    def round_trip(number: int) -> bool:
        secret = number.to_bytes(32, "big")
        return kek.unwrap(kek.wrap(secret, b"%d" % number), b"%d" % number) == secret

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(round_trip, range(80)))


def test_a_label_is_not_used_twice(token):
    place = token.place(f"kek-{secrets.token_hex(4)}")
    create_pkcs11_key(place, token.pin)

    with pytest.raises(KeystoreError, match=r"has a key .* already"):
        create_pkcs11_key(place, token.pin)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"token_label": "elsewhere"}, "no such token"),
        ({"token_label": "twin"}, "several tokens"),
        ({"key_label": "none"}, "no such AES key"),
        ({"module": "/nonexistent/module.so"}, "library can't be loaded"),
        ({"token_label": "spare", "key_label": "kek"}, "no such AES key"),
        ({"token_serial": "0000000000000000"}, "no such token"),
    ],
)
def test_wrong_token_key_or_library_is_refused(token, changes, complaint):
    with pytest.raises(KeystoreError, match=complaint):
        Pkcs11Kek(dataclasses.replace(token.place("kek"), **changes), token.pin)


def test_a_token_must_be_named(token):
    with pytest.raises(UsageError, match="no token is named"):
        Pkcs11Kek(TokenPlace(token.module, None, None, "kek"), token.pin)


def test_a_token_is_found_by_its_serial_number(token, kek):
    import pkcs11

    (found,) = pkcs11.lib(token.module).get_tokens(token_label="hospital")
    place = dataclasses.replace(kek._place, token_label=None, token_serial=found.serial.decode())

    assert Pkcs11Kek(place, token.pin).kek_id == kek.kek_id


def test_a_key_that_could_leave_the_token_is_refused(token):
    import pkcs11

    label = f"loose-{secrets.token_hex(4)}"
    session = pkcs11.lib(token.module).get_token(token_label="spare").open(rw=True, user_pin=token.pin)
    template = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
    session.generate_key(pkcs11.KeyType.AES, 256, id=b"1", label=label, store=True, template=template)
    session.close()

    with pytest.raises(KeystoreError, match=r"never could leave it: .*EXTRACTABLE"):
        Pkcs11Kek(token.place(label, "spare"), token.pin)


@pytest.mark.parametrize("pin", ["wrong-pin", "1"])
def test_a_wrong_pin_is_refused(token, kek, pin):
    """In a process of its own: a login holds for the whole process."""
    code = (
        "import sys; from heartify.broker.kek.pkcs11_kek import Pkcs11Kek, TokenPlace\n"
        "from heartify.errors import KeystoreError\n"
        "try: Pkcs11Kek(TokenPlace(sys.argv[1], 'hospital', None, sys.argv[2]), sys.argv[3])\n"
        "except KeystoreError as exc: sys.exit(f'{exc.message}' if sys.argv[3] not in exc.message else 'leaked')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, token.module, kek._place.key_label, pin],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "PIN is wrong" in answer.stderr


def test_settings_and_a_pin_of_file_or_environment_open_the_key(token, kek, tmp_path):
    pin_file = tmp_path / "pin"
    pin_file.write_text(token.pin + "\n")
    pin_file.chmod(0o600)
    named = TokenKek(module=token.module, key_label=kek._place.key_label, token_label="hospital")
    environ = {PIN_VARIABLE: token.pin}

    by_file = choose_kek(tmp_path, TokenKek(**{**_fields(named), "pin_file": str(pin_file)}), _no_keystore, {})
    by_environment = choose_kek(tmp_path, named, _no_keystore, environ)

    assert by_file.kek_id == by_environment.kek_id == kek.kek_id
    assert environ == {}  # the PIN is no longer there for child processes


def test_without_a_pin_or_with_an_open_file_nothing_is_tried(tmp_path):
    named = TokenKek(module="m", key_label="k", token_label="t")
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(0o644)

    with pytest.raises(KeystoreError, match="no PIN"):
        choose_kek(tmp_path, named, _no_keystore, {})
    with pytest.raises(KeystoreError, match="open to other accounts"):
        choose_kek(tmp_path, TokenKek(**{**_fields(named), "pin_file": str(tmp_path / "pin")}), _no_keystore, {})


def _fields(settings: TokenKek) -> dict:
    return {name: getattr(settings, name) for name in TokenKek.__struct_fields__}


def _no_keystore(path):
    raise AssertionError(path)
