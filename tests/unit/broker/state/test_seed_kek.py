"""KEKs of 32 bytes: the vault's first format opens for ever, and a secret of the environment doesn't stay there."""

from __future__ import annotations

import base64
import secrets

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.broker.kek.choose_kek import choose_kek
from heartify.broker.kek.environment_seed import read_environment_seed
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.kek.settings import (
    EnvironmentKek,
    KekDocument,
    KeystoreKek,
    TokenKek,
    load_kek_document,
    store_kek_document,
)
from heartify.broker.vault import Vault, split_wrapped
from heartify.errors import HeartifyError, IntegrityError, KeystoreError, UsageError

SEED = bytes(range(32))
VERSION = "0x" + "aa" * 32
MASTER_KEY = b"\x07" * 32


def wrapped_by_the_first_release(seed: bytes, version: str, master_key: bytes) -> bytes:
    """What issue C's vault made, written from its description."""
    cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"heartify/vault-key/v1").derive(seed))
    nonce = secrets.token_bytes(12)
    return nonce + cipher.encrypt(nonce, master_key, version.encode())


def test_what_the_first_release_wrapped_still_opens():
    wrapped = wrapped_by_the_first_release(SEED, VERSION, MASTER_KEY)

    assert Vault(SEED).unwrap(VERSION, wrapped) == MASTER_KEY


def test_a_first_release_nonce_that_looks_like_the_later_format_opens_all_the_same():
    cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"heartify/vault-key/v1").derive(SEED))
    nonce = b"HKW2" + bytes(8)

    assert Vault(SEED).unwrap(VERSION, nonce + cipher.encrypt(nonce, MASTER_KEY, VERSION.encode())) == MASTER_KEY


def test_new_blobs_name_their_key():
    kek = SeedKek(SEED)

    assert split_wrapped(Vault(kek).wrap(VERSION, MASTER_KEY))[0] == kek.kek_id


def test_the_name_of_a_key_tells_it_from_others_and_not_its_seed():
    one, other = SeedKek(SEED), SeedKek(bytes(32))

    assert one.kek_id == SeedKek(SEED).kek_id != other.kek_id
    assert SEED[:4].hex() not in one.kek_id


@pytest.mark.parametrize("position", range(0, 102, 5))
def test_every_byte_of_a_new_blob_counts(position):
    wrapped = bytearray(Vault(SEED).wrap(VERSION, MASTER_KEY))
    wrapped[position % len(wrapped)] ^= 1

    with pytest.raises(IntegrityError, match="does not open"):
        Vault(SEED).unwrap(VERSION, bytes(wrapped))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(length):
    with pytest.raises(KeystoreError, match="expected 32"):
        SeedKek(bytes(length))


@pytest.mark.parametrize("text", [SEED.hex(), SEED.hex().upper(), base64.b64encode(SEED).decode(), SEED.hex() + "\n"])
def test_the_environment_gives_the_key_once(text):
    environ = {"HEARTIFY_BROKER_KEK": text, "PATH": "/bin"}

    assert read_environment_seed(environ) == SEED
    assert environ == {"PATH": "/bin"}
    with pytest.raises(KeystoreError, match="gives no key-encryption key"):
        read_environment_seed(environ)


@pytest.mark.parametrize("variable", ["HEARTIFY_BROKER_KEK_FILE", "CREDENTIALS_DIRECTORY"])
def test_a_file_gives_the_key_every_time(tmp_path, variable):
    file = tmp_path / "heartify-broker-kek"
    file.write_text(SEED.hex() + "\n")
    file.chmod(0o400)
    environ = {variable: str(file if variable.endswith("_FILE") else tmp_path)}

    assert read_environment_seed(environ) == read_environment_seed(environ) == SEED


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, base64.b64encode(bytes(31)).decode(), "hunter2"])
def test_a_malformed_secret_is_refused_without_being_shown(tmp_path, text):
    file = tmp_path / "kek"
    file.write_text(text)
    file.chmod(0o600)

    with pytest.raises(KeystoreError, match="is no key-encryption key") as refused:
        read_environment_seed({"HEARTIFY_BROKER_KEK_FILE": str(file)})
    assert not text or text not in f"{refused.value}{refused.value.hint}"


def test_two_sources_a_missing_and_an_open_file_are_refused(tmp_path):
    file = tmp_path / "kek"
    file.write_text(SEED.hex())
    file.chmod(0o640)

    with pytest.raises(KeystoreError, match="both set"):
        read_environment_seed({"HEARTIFY_BROKER_KEK": SEED.hex(), "HEARTIFY_BROKER_KEK_FILE": str(file)})
    with pytest.raises(KeystoreError, match="can't be read"):
        read_environment_seed({"HEARTIFY_BROKER_KEK_FILE": str(tmp_path / "none")})
    with pytest.raises(KeystoreError, match="open to other accounts"):
        read_environment_seed({"HEARTIFY_BROKER_KEK_FILE": str(file)})


def test_a_home_without_the_document_keeps_its_key_in_the_vault_keystore(tmp_path):
    opened = []

    kek = choose_kek(tmp_path, load_kek_document(tmp_path).current, lambda path: opened.append(path) or SEED, {})

    assert opened == [tmp_path / "vault.json"]
    assert kek.kek_id == SeedKek(SEED).kek_id


@pytest.mark.parametrize(
    "settings",
    [
        KeystoreKek("kek-2.json"),
        EnvironmentKek("OTHER_KEK"),
        TokenKek(module="/lib/m.so", token_label="t", key_label="k", pin_file="/run/pin"),
    ],
)
def test_settings_are_read_back_as_they_were_stored(tmp_path, settings):
    document = KekDocument(current=KeystoreKek(), next=settings)

    store_kek_document(tmp_path, document)

    assert load_kek_document(tmp_path) == document


@pytest.mark.parametrize("settings", [KeystoreKek("../account.json"), EnvironmentKek("lower"), EnvironmentKek("A=B")])
def test_settings_that_could_not_be_read_back_are_refused(tmp_path, settings):
    with pytest.raises(UsageError, match="malformed"):
        store_kek_document(tmp_path, KekDocument(current=settings))


def test_a_damaged_document_is_refused(tmp_path):
    (tmp_path / "kek.json").write_text('{"current": {"kind": "post-it"}}')

    with pytest.raises(HeartifyError):
        load_kek_document(tmp_path)


def test_an_environment_key_of_another_name_is_found():
    assert choose_kek(None, EnvironmentKek("OTHER_KEK"), None, {"OTHER_KEK": SEED.hex()}).kek_id == SeedKek(SEED).kek_id
