"""Secrets at rest: 32-byte keys in Ethereum keystore files (Web3 Secret Storage, version 3), opened by a password.

The same file format holds account keys, the lab's sealing seed and the hospital's vault key. A password comes from a
terminal prompt or a file, never from the command line, and never reaches a log or a message.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json

from heartify.errors import KeystoreError, UsageError
from heartify.protocol.signing import address_of, generate_private_key

PASSWORD_FILE_VARIABLE = "HEARTIFY_PASSWORD_FILE"  # noqa: S105 - the name of a variable that names a file
MIN_PASSWORD_LENGTH = 8


def read_password(password_file: Path | None, environ: Mapping[str, str], *, confirm: bool = False) -> bytes:
    """Return the password from a file (option or environment), else from a prompt.

    Raises:
        KeystoreError: the file can't be read, the password is too short, or the two prompts differ.
        UsageError: there is no file and no terminal to ask at.
    """
    if password_file is None and environ.get(PASSWORD_FILE_VARIABLE):
        password_file = Path(environ[PASSWORD_FILE_VARIABLE])
    password = _password_from(password_file) if password_file else _ask_password(confirm=confirm)
    if len(password) < MIN_PASSWORD_LENGTH:
        raise KeystoreError(f"a password must have at least {MIN_PASSWORD_LENGTH} characters")
    return password.encode()


def create_account(path: Path, password: bytes) -> str:
    """Create an account key in a new keystore file and return its address.

    Raises:
        KeystoreError: the file exists already.
    """
    return address_of(create_private_key(path, password))


def create_private_key(path: Path, password: bytes) -> bytes:
    """Create an account key in a new keystore file and return it, for whoever signs with it at once.

    Raises:
        KeystoreError: the file exists already.
    """
    private_key = generate_private_key()
    store_secret(path, private_key, password)
    return private_key


def create_seed(path: Path, password: bytes) -> bytes:
    """Create 32 random secret bytes in a new keystore file and return them.

    Raises:
        KeystoreError: the file exists already.
    """
    seed = secrets.token_bytes(32)
    store_secret(path, seed, password)
    return seed


def store_secret(path: Path, secret: bytes, password: bytes) -> None:
    """Write one 32-byte secret to a new file that only its owner can read.

    Raises:
        KeystoreError: the file exists already, or can't be written; nothing is overwritten or left half-written.
    """
    document = json.dumps(create_keyfile_json(secret, password)).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path, document)
    except FileExistsError as exc:
        raise KeystoreError(f"{path} exists already", hint="keys are never overwritten; choose another home") from exc
    except OSError as exc:
        raise KeystoreError(f"{path} can't be written: {exc.strerror or type(exc).__name__}") from exc


def load_secret(path: Path, password: bytes) -> bytes:
    """Open a keystore file.

    Raises:
        KeystoreError: no such file, not a keystore, or a wrong password.
    """
    try:
        return bytes(decode_keyfile_json(json.loads(path.read_bytes()), password))
    except FileNotFoundError as exc:
        raise KeystoreError(f"there is no keystore at {path}", hint="run the `init` command first") from exc
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as exc:
        raise KeystoreError(f"{path} does not open", hint="the password is wrong or the file is damaged") from exc


def keystore_address(path: Path) -> str:
    """Return the address that a keystore file states, without opening it."""
    try:
        return "0x" + str(json.loads(path.read_bytes())["address"]).removeprefix("0x").lower()
    except FileNotFoundError as exc:
        raise KeystoreError(f"there is no keystore at {path}", hint="run the `init` command first") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise KeystoreError(f"{path} is not a keystore") from exc


def _create(path: Path, content: bytes) -> None:
    """Create a file of mode 0600 whole or not at all; raises FileExistsError rather than replace one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)  # unlike a rename, this fails when there is a file of that name
    finally:
        Path(name).unlink()


def _password_from(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise KeystoreError(f"the password file {path} can't be read") from exc


def _ask_password(*, confirm: bool) -> str:
    if not os.isatty(0):
        raise UsageError(
            "there is no terminal to ask for the password at",
            hint=f"give --password-file, or set {PASSWORD_FILE_VARIABLE} to the path of a file with the password",
        )
    password = getpass.getpass("Password: ")
    if confirm and getpass.getpass("Again: ") != password:
        raise KeystoreError("the two passwords differ")
    return password
