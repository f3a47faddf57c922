"""Where a hospital keeps its broker's key-encryption key: `kek.json` in its home.

A home without the document keeps it in the keystore `vault.json`. `next` stands there while a rotation is under way:
the database itself tells which of the two its keys are wrapped by. No secret stands in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from heartify.broker.kek.environment_seed import DEFAULT_VARIABLE
from heartify.errors import UsageError
from heartify.party.home import load_document, store_document

KEK_FILE = "kek.json"
VAULT_KEYSTORE = "vault.json"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class KeystoreKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="keystore", tag_field="kind"):
    """In a keystore file of the home, opened by its password."""

    file: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,60}\.json\Z")] = VAULT_KEYSTORE


class EnvironmentKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="environment", tag_field="kind"):
    """A secret of the environment under this name; see environment_seed.py."""

    variable: Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{0,60}\Z")] = DEFAULT_VARIABLE


class TokenKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pkcs11", tag_field="kind", kw_only=True):
    """In a token behind a PKCS#11 library; its PIN is in a file, or in the environment (HEARTIFY_PKCS11_PIN)."""

    module: _Text
    key_label: _Text
    token_label: _Text | None = None
    token_serial: _Text | None = None
    pin_file: _Text | None = None


KekSettings: TypeAlias = KeystoreKek | EnvironmentKek | TokenKek


class KekDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The KEK in use, and during a rotation the one that comes after it."""

    current: KekSettings
    next: KekSettings | None = None
    format: Literal["heartify.broker-kek/1"] = "heartify.broker-kek/1"


def load_kek_document(home: Path) -> KekDocument:
    """Return what the home says of its KEK.

    Raises:
        UsageError, DocumentError: the document can't be read.
    """
    if not (home / KEK_FILE).exists():
        return KekDocument(current=KeystoreKek())
    return load_document(home / KEK_FILE, KekDocument, hint="restore the home's kek.json")


def store_kek_document(home: Path, document: KekDocument) -> None:
    """Keep what the home says of its KEK; raises UsageError when a setting couldn't be read back."""
    try:
        msgspec.convert(msgspec.to_builtins(document), KekDocument)
    except msgspec.ValidationError as exc:
        raise UsageError(f"the settings of the key-encryption key are malformed: {exc}") from exc
    store_document(home / KEK_FILE, document)
