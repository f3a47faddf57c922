"""Open the key-encryption key that a home's settings name: keystore file, environment secret or PKCS#11 token.

The environment is given as a mapping that secrets are taken out of; passwords and PINs never come from a command line.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path

from heartify.broker.kek.environment_seed import read_environment_seed
from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.kek.pkcs11_kek import Pkcs11Kek, TokenPlace
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.kek.settings import EnvironmentKek, KekSettings, KeystoreKek, TokenKek
from heartify.errors import KeystoreError

PIN_VARIABLE = "HEARTIFY_PKCS11_PIN"

OpenKeystore = Callable[[Path], bytes]
"""Return the 32 bytes of a keystore file; raises KeystoreError."""


def choose_kek(
    home: Path, settings: KekSettings, open_keystore: OpenKeystore, environ: MutableMapping[str, str]
) -> KeyEncryptionKey:
    """Return the key-encryption key of these settings, ready for use.

    Raises:
        KeystoreError: the keystore, secret or token isn't there, doesn't open, or holds no such key.
    """
    match settings:
        case KeystoreKek(file=file):
            return SeedKek(open_keystore(home / file))
        case EnvironmentKek(variable=variable):
            return SeedKek(read_environment_seed(environ, variable))
        case TokenKek():
            return Pkcs11Kek(token_place(settings), read_pin(settings, environ))


def token_place(settings: TokenKek) -> TokenPlace:
    """Return where the key of these settings lies."""
    return TokenPlace(settings.module, settings.token_label, settings.token_serial, settings.key_label)


def read_pin(settings: TokenKek, environ: MutableMapping[str, str]) -> str:
    """Return the token's PIN from the settings' file, else from the environment, which keeps it no longer.

    Raises:
        KeystoreError: there is none, or the file can't be read or is open to others.
    """
    if settings.pin_file is None:
        pin = environ.pop(PIN_VARIABLE, "")
        if not pin:
            raise KeystoreError(
                "there is no PIN for the token", hint=f"name a file by --pin-file, or set {PIN_VARIABLE}"
            )
        return pin
    path = Path(settings.pin_file)
    try:
        if path.stat().st_mode & 0o077:
            raise KeystoreError(f"{path} is open to other accounts", hint=f"chmod 600 {path.name}")
        pin = path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as exc:
        raise KeystoreError(f"the PIN file {path} can't be read: {type(exc).__name__}") from exc
    return pin
