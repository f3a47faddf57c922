"""The author's key that signs an SGX enclave: RSA with 3072 bits and exponent 3, which SGX fixes.

MRENCLAVE doesn't depend on it, and no policy of ours rests on MRSIGNER alone. It is still a key: whoever has it can
sign other enclaves as this author. It is named by its path; it must never stand in an argument.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from heartify.errors import InputError, KeystoreError

KEY_BITS = 3072
EXPONENT = 3


def check_signing_key(path: Path) -> None:
    """Refuse a key file that isn't the owner's alone, or holds another kind of key.

    Raises:
        InputError: it can't be read, or others may read it.
        KeystoreError: no unencrypted RSA key of 3072 bits with exponent 3.
    """
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as exc:
        raise InputError(
            f"signing key: {path.name} can't be read", hint="gramine-sgx-gen-private-key makes one"
        ) from exc
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise InputError(
            f"signing key: {path.name} has mode {stat.S_IMODE(mode):04o}, expected 0600", hint="chmod 600 the file"
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as exc:
        raise KeystoreError(f"signing key: {path.name} is no unencrypted private key in PEM") from exc
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != KEY_BITS:
        raise KeystoreError(f"signing key: {path.name} is no RSA key of {KEY_BITS} bits")
    if key.public_key().public_numbers().e != EXPONENT:
        raise KeystoreError(f"signing key: {path.name} has another exponent than {EXPONENT}, which SGX refuses")


def make_signing_key(path: Path) -> None:
    """Write a fresh key to a file that doesn't exist yet, mode 0600. Raises InputError when it does."""
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=KEY_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as exc:
        raise InputError(f"signing key: {path.name} exists already") from exc
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
