"""The hospital's vault: the key-encryption key that its home names, checked against what its database says.

A rotation writes the new key's place into the home, wraps all master keys anew in one transaction, and then makes the
new place the current one. After a kill in between, the database tells which of the two is right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, MutableMapping
from pathlib import Path

import sqlalchemy as sa

from heartify.broker.erasure import erase_deleted
from heartify.broker.facts import KEK_ID, read_fact
from heartify.broker.kek.choose_kek import OpenKeystore, choose_kek
from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.kek.rotation import rewrap_master_keys
from heartify.broker.kek.settings import KekDocument, KekSettings, load_kek_document, store_kek_document
from heartify.broker.vault import Vault
from heartify.errors import HeartifyError, KeystoreError, UsageError
from heartify.hospital.home import HospitalHome


def open_kek(
    home: Path, engine: sa.Engine, open_keystore: OpenKeystore, environ: MutableMapping[str, str]
) -> KeyEncryptionKey:
    """Return the key-encryption key that the database's master keys are wrapped by; finish a rotation that was killed.

    Raises:
        KeystoreError: the key can't be opened, or is another one than the database's.
    """
    document = load_kek_document(home)
    with engine.connect() as connection:
        wrapped_by = read_fact(connection, KEK_ID)
    if document.next is not None and wrapped_by is not None:
        with contextlib.suppress(HeartifyError):  # then the current one is right, or says what is wrong
            following = choose_kek(home, document.next, open_keystore, environ)
            if following.kek_id == wrapped_by:
                store_kek_document(home, KekDocument(current=document.next))
                return following
    kek = choose_kek(home, document.current, open_keystore, environ)
    if wrapped_by not in (None, kek.kek_id):
        raise KeystoreError(
            f"the broker's database is wrapped by the key {wrapped_by}, and this home has {kek.kek_id}",
            hint="kek.json, the secret or the token is not the one of this database",
        )
    return kek


def rotate_kek(
    home: HospitalHome,
    engine: sa.Engine,
    settings: KekSettings,
    open_keystore: OpenKeystore,
    environ: MutableMapping[str, str],
    clock: Callable[[], int],
) -> tuple[str, str, int]:
    """Wrap all master keys by another KEK; return the ids of the old and the new one, and how many keys there are.

    The caller holds the state alone (state_lock.py).

    Raises:
        UsageError: a publication has not ended, whose journal holds a wrapped key, or it is the same KEK.
        KeystoreError, IntegrityError: one of the two KEKs can't be used, or a key doesn't open; nothing has changed.
    """
    if datasets := home.publications_under_way():
        raise UsageError(
            f"a publication has not ended yet: {', '.join(datasets)}",
            hint="give its `heartify hospital publish` again, or withdraw its version; then rotate",
        )
    old = open_kek(home.path, engine, open_keystore, environ)
    new = choose_kek(home.path, settings, open_keystore, environ)
    if new.kek_id == old.kek_id:
        raise UsageError(f"the master keys are wrapped by {old.kek_id} already", hint="name another key")
    current = load_kek_document(home.path).current
    store_kek_document(home.path, KekDocument(current=current, next=settings))
    count = rewrap_master_keys(engine, Vault(old), Vault(new), clock())
    store_kek_document(home.path, KekDocument(current=settings))
    erase_deleted(engine)
    return old.kek_id, new.kek_id, count
