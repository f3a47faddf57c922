"""Secrets at rest: new files only, readable by their owner only, opened by the right password only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from eth_account import Account

from heartify.errors import KeystoreError, UsageError
from heartify.party.keystore import (
    create_account,
    create_seed,
    keystore_address,
    load_secret,
    read_password,
    store_secret,
)
from heartify.protocol.signing import address_of

PASSWORD = b"correct horse battery"


@pytest.fixture(scope="module")
def account(tmp_path_factory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("keys") / "home" / "account.json"
    return path, create_account(path, PASSWORD)


def test_account_opens_with_its_password_and_is_the_stated_address(account):
    path, address = account

    secret = load_secret(path, PASSWORD)

    assert address_of(secret) == address == keystore_address(path)


def test_keystore_is_a_standard_one_that_eth_account_opens(account):
    path, address = account

    secret = bytes(Account.decrypt(path.read_text(), PASSWORD.decode()))

    assert Account.from_key(secret).address.lower() == address


def test_keystore_is_readable_by_its_owner_only(account):
    path, _ = account

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


def test_keystore_is_never_overwritten(account):
    path, address = account
    before = path.read_bytes()

    with pytest.raises(KeystoreError, match="exists already"):
        create_seed(path, PASSWORD)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert keystore_address(path) == address


def test_wrong_password_is_refused_and_not_repeated(account):
    path, _ = account

    with pytest.raises(KeystoreError, match="does not open") as refused:
        load_secret(path, b"wrong horse battery")
    assert "horse" not in refused.value.message + str(refused.value.hint)


def test_seed_is_random_and_opens_again(tmp_path):
    seed = create_seed(tmp_path / "seed.json", PASSWORD)

    assert load_secret(tmp_path / "seed.json", PASSWORD) == seed
    assert len(set(seed)) > 8


def test_write_that_fails_half_way_leaves_no_keystore(tmp_path, monkeypatch):
    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(KeystoreError, match="can't be written: No space left"):
        store_secret(tmp_path / "account.json", b"\x01" * 32, PASSWORD)
    assert list(tmp_path.iterdir()) == []


def test_missing_keystore_names_the_next_step(tmp_path):
    with pytest.raises(KeystoreError, match="no keystore") as refused:
        load_secret(tmp_path / "none.json", PASSWORD)
    with pytest.raises(KeystoreError, match="no keystore"):
        keystore_address(tmp_path / "none.json")

    assert "init" in str(refused.value.hint)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[]", b'"text"', b'{"version": 3, "crypto": []}', b"7"])
def test_file_that_is_no_keystore_is_refused(tmp_path, content):
    path = tmp_path / "account.json"
    path.write_bytes(content)

    with pytest.raises(KeystoreError):
        load_secret(path, PASSWORD)
    with pytest.raises(KeystoreError):
        keystore_address(path)


def test_folder_in_the_place_of_a_keystore_is_refused(tmp_path):
    with pytest.raises(KeystoreError):
        load_secret(tmp_path, PASSWORD)
    with pytest.raises(KeystoreError):
        keystore_address(tmp_path)


# ---- passwords


def test_password_file_gives_the_password_without_its_last_line_end(tmp_path):
    file = tmp_path / "password"
    file.write_text("a long password \n\n")

    assert read_password(file, {}) == b"a long password \n"


def test_option_wins_over_the_environment(tmp_path):
    named, other = tmp_path / "named", tmp_path / "other"
    named.write_text("from the option")
    other.write_text("from the environment")

    assert read_password(named, {"HEARTIFY_PASSWORD_FILE": str(other)}) == b"from the option"
    assert read_password(None, {"HEARTIFY_PASSWORD_FILE": str(other)}) == b"from the environment"


def test_short_password_is_refused_and_not_repeated(tmp_path):
    file = tmp_path / "password"
    file.write_text("7letter\n")

    with pytest.raises(KeystoreError, match="at least 8") as refused:
        read_password(file, {})
    assert "7letter" not in refused.value.message


@pytest.mark.parametrize("name", ["absent", "."])
def test_password_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(KeystoreError, match="can't be read"):
        read_password(tmp_path / name, {})


def test_password_file_that_is_no_text_is_refused(tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe\xff\xfe\xff\xfe")

    with pytest.raises(KeystoreError, match="can't be read"):
        read_password(file, {})


def test_without_file_and_terminal_there_is_nobody_to_ask(monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda _descriptor: False)

    with pytest.raises(UsageError, match="no terminal") as refused:
        read_password(None, {})
    assert "--password-file" in str(refused.value.hint)


def test_two_prompts_that_differ_are_refused(monkeypatch):
    answers = iter(["long password one", "long password two"])
    monkeypatch.setattr(os, "isatty", lambda _descriptor: True)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))

    with pytest.raises(KeystoreError, match="differ"):
        read_password(None, {}, confirm=True)


def test_prompt_is_asked_twice_only_for_a_new_password(monkeypatch):
    prompts = []
    monkeypatch.setattr(os, "isatty", lambda _descriptor: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: prompts.append(prompt) or "long password")

    assert read_password(None, {}) == b"long password"
    assert read_password(None, {}, confirm=True) == b"long password"
    assert len(prompts) == 3
