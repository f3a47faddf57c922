"""A seed that whoever starts the process hands over: in a file that the environment names, or in the environment.

A file is the better way, because other processes of the same account can read a process's first environment: systemd's
credentials (`LoadCredential=`), or a secret mounted into a container. The variable itself is taken out of the
environment once it is read, so that no child process inherits it. The value never stands in a message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import MutableMapping
from pathlib import Path

from heartify.broker.kek.seed_kek import SEED_BYTES
from heartify.errors import KeystoreError

DEFAULT_VARIABLE = "HEARTIFY_BROKER_KEK"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
_OPEN_TO_OTHERS = 0o077
_FORM = "64 hexadecimal digits, or 32 bytes in base64"


def read_environment_seed(environ: MutableMapping[str, str], variable: str = DEFAULT_VARIABLE) -> bytes:
    """Return the 32 bytes of one of: the file that `<variable>_FILE` names, `variable` itself, a systemd credential.

    The credential is the file of the variable's name, in lower case with hyphens, in systemd's folder.

    Raises:
        KeystoreError: none or two of them are given, the file can't be read or is open to others, or it isn't 32 bytes.
    """
    named, given = environ.get(f"{variable}_FILE"), environ.pop(variable, None)
    if named and given:
        raise KeystoreError(f"{variable} and {variable}_FILE are both set", hint="leave one of them out")
    if given:
        return _decode(given, variable)
    if named:
        return _decode(_read(Path(named)), f"the file of {variable}_FILE")
    folder = environ.get(CREDENTIALS_VARIABLE)
    credential = Path(folder or ".") / variable.lower().replace("_", "-")
    if folder and credential.exists():
        return _decode(_read(credential), f"the credential {credential.name}")
    raise KeystoreError(
        "the environment gives no key-encryption key",
        hint=f"set {variable}_FILE to the path of a file with {_FORM}, or load the credential {credential.name}",
    )


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & _OPEN_TO_OTHERS:
            raise KeystoreError(f"{path} is open to other accounts", hint=f"chmod 600 {path.name}")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as exc:
        raise KeystoreError(f"the key-encryption key's file {path} can't be read: {type(exc).__name__}") from exc


def _decode(text: str, what: str) -> bytes:
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        seed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != SEED_BYTES:
        # `from None` and no quotation: what was given may be a secret with a typing error.
        raise KeystoreError(f"{what} is no key-encryption key", hint=f"give {_FORM}") from None
    return seed
