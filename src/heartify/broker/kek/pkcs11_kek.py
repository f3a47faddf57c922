"""A key-encryption key inside a hardware security module, by PKCS#11: AES-256-GCM that only the module computes.

It trusts the module and the hospital's PKCS#11 library, which runs in this process. The key is made in the token and
never leaves it: a key that can be extracted, or ever could, is refused. A lost session (token pulled out, module
restarted) is opened anew once; one call at a time goes to the module.

Source: PKCS #11 Specification Version 3.1 (OASIS), sections 5.6 (sessions) and 6.13 (AES-GCM).
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from heartify.errors import IntegrityError, KeystoreError, UsageError

if TYPE_CHECKING:
    import pkcs11

_KEY_BITS = 256
_ID_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_INSTALL_HINT = 'install heartify with the extra "pkcs11"'


@dataclasses.dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a key lies: the library's file, the token by label, by serial number or by both, the key's label."""

    module: str
    token_label: str | None
    token_serial: str | None
    key_label: str


class Pkcs11Kek:
    """The port of key_encryption_key.py over a token. Wrapped: nonce of 12 bytes, ciphertext, tag of 16."""

    def __init__(self, place: TokenPlace, pin: str) -> None:
        """Open the token and find the key.

        Raises:
            KeystoreError: there is no such library, token or key, more than one, or the PIN is wrong; or the key is not
                an AES-256 key that was never extractable.
        """
        self._place, self._pin = place, pin
        self._lock = threading.Lock()
        self._session: pkcs11.Session | None = None
        self._key: Any = None
        with _named_errors():
            self._open()
        self._kek_id = f"pkcs11:{_id_of(self._key)}"

    @property
    def kek_id(self) -> str:
        """Return `pkcs11:` and the key's CKA_ID in hex."""
        return self._kek_id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return `secret` encrypted by the token under a fresh nonce and bound to `context`; raises KeystoreError."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._use(lambda key: _gcm(key.encrypt, secret, nonce, context))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return what was wrapped under the same context; raises IntegrityError, KeystoreError."""
        if len(wrapped) < _NONCE_BYTES + _TAG_BYTES:
            raise IntegrityError("a wrapped key does not open")
        nonce, content = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._use(lambda key: _gcm(key.decrypt, content, nonce, context))
        except KeystoreError as exc:
            if not _says_general_error(exc):
                raise
            # Some modules call a wrong tag a general error. One that still opens what it wraps means just that.
            self._check_works()
            raise IntegrityError("a wrapped key does not open") from exc

    def close(self) -> None:
        """Close the session; the next use opens another one."""
        with self._lock:
            self._drop()

    def _use(self, operation: Callable[[Any], bytes]) -> bytes:
        """Do one operation with the key; when the session is lost, once more with a new one."""
        with self._lock, _named_errors():
            import pkcs11

            try:
                if self._session is None:
                    self._reopen()
                return operation(self._key)
            except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange) as exc:
                raise IntegrityError("a wrapped key does not open") from exc
            except pkcs11.PKCS11Error:
                self._reopen()
                return operation(self._key)

    def _check_works(self) -> None:
        """Raise KeystoreError unless the token opens what it has just wrapped."""
        nonce, probe = secrets.token_bytes(_NONCE_BYTES), secrets.token_bytes(_ID_BYTES)
        wrapped = self._use(lambda key: _gcm(key.encrypt, probe, nonce, b"probe"))
        if self._use(lambda key: _gcm(key.decrypt, wrapped, nonce, b"probe")) != probe:
            raise KeystoreError("the token does not open what it wraps")

    def _reopen(self) -> None:
        self._drop()
        self._open()
        if f"pkcs11:{_id_of(self._key)}" != self._kek_id:
            self._drop()
            raise KeystoreError("the token holds another key under the key's label than before")

    def _open(self) -> None:
        token = _find_token(self._place)
        self._session = _login(token, self._pin, rw=False)
        try:
            self._key = _find_key(self._session, self._place)
            _check_key(self._key, self._place)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        import pkcs11

        session, self._session, self._key = self._session, None, None
        if session is not None:
            with contextlib.suppress(pkcs11.PKCS11Error):  # it is lost already
                session.close()


def create_pkcs11_key(place: TokenPlace, pin: str) -> str:
    """Create the key in the token, and return the id of the key-encryption key that it is.

    Raises:
        KeystoreError: no such token, a wrong PIN, a key of this label exists, or the token can't make such a key.
    """
    with _named_errors():
        from pkcs11 import Attribute, KeyType, MechanismFlag, NoSuchKey, ObjectClass

        with contextlib.closing(_login(_find_token(place), pin, rw=True)) as session:
            with contextlib.suppress(NoSuchKey):
                session.get_key(object_class=ObjectClass.SECRET_KEY, label=place.key_label)
                raise KeystoreError(f"the token has a key {place.key_label} already", hint="choose another key label")
            key = session.generate_key(
                KeyType.AES,
                _KEY_BITS,
                id=secrets.token_bytes(_ID_BYTES),
                label=place.key_label,
                store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.PRIVATE: True,
                    Attribute.MODIFIABLE: False,
                    Attribute.COPYABLE: False,
                },
            )
            _check_key(key, place)
            return f"pkcs11:{_id_of(key)}"


def _gcm(operation: Callable[..., bytes], data: bytes, nonce: bytes, context: bytes) -> bytes:
    from pkcs11 import GCMParams, Mechanism

    return bytes(operation(data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, context, 128)))


def _find_token(place: TokenPlace) -> pkcs11.Token:
    import pkcs11

    if not (place.token_label or place.token_serial):
        raise UsageError("no token is named", hint="give its label or its serial number")
    wanted: dict[str, Any] = {}
    if place.token_label:
        wanted["token_label"] = place.token_label
    if place.token_serial:
        wanted["token_serial"] = place.token_serial.encode()
    return pkcs11.lib(place.module).get_token(**wanted)


def _login(token: pkcs11.Token, pin: str, *, rw: bool) -> pkcs11.Session:
    import pkcs11

    try:
        return token.open(rw=rw, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:  # the login is the process's: another key of this token is in use
        return token.open(rw=rw)


def _find_key(session: pkcs11.Session, place: TokenPlace) -> Any:
    from pkcs11 import KeyType, ObjectClass

    return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=place.key_label)


def _check_key(key: Any, place: TokenPlace) -> None:
    from pkcs11 import Attribute

    demanded = {
        Attribute.SENSITIVE: True,
        Attribute.ALWAYS_SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.NEVER_EXTRACTABLE: True,
        Attribute.VALUE_LEN: _KEY_BITS // 8,
    }
    wrong = [attribute.name for attribute, value in demanded.items() if key[attribute] != value]
    if wrong:
        raise KeystoreError(
            f"the token's key {place.key_label} is not an AES-256 key that never could leave it: {', '.join(wrong)}",
            hint="create one by `heartify hospital broker create-kek`",
        )
    if not key[Attribute.ID]:
        raise KeystoreError(f"the token's key {place.key_label} has no id", hint="give it a CKA_ID, or create another")


def _id_of(key: Any) -> str:
    from pkcs11 import Attribute

    return bytes(key[Attribute.ID]).hex()


def _says_general_error(error: KeystoreError) -> bool:
    import pkcs11

    return isinstance(error.__cause__, pkcs11.GeneralError)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Turn the library's errors into KeystoreErrors. They hold no PIN and no key."""
    try:
        import pkcs11
    except ImportError as exc:
        raise KeystoreError("this installation can't speak PKCS#11", hint=_INSTALL_HINT) from exc
    told = {
        pkcs11.PKCS11Error: "the PKCS#11 library can't be loaded",  # the base, which no call to a token raises
        pkcs11.PinIncorrect: "the token's PIN is wrong",
        pkcs11.PinLenRange: "the token's PIN is wrong: it has another length",
        pkcs11.PinLocked: "the token's PIN is locked",
        pkcs11.NoSuchToken: "there is no such token",
        pkcs11.MultipleTokensReturned: "several tokens have this label",
        pkcs11.NoSuchKey: "the token has no such AES key",
        pkcs11.MultipleObjectsReturned: "the token has several keys of this label",
    }
    try:
        yield
    except pkcs11.PKCS11Error as exc:
        what = told.get(type(exc), f"the token can't be used now ({type(exc).__name__})")
        raise KeystoreError(what, hint="check the PKCS#11 library, the token and its PIN") from exc
    except (RuntimeError, OSError) as exc:  # the library's file can't be loaded
        raise KeystoreError("the PKCS#11 library can't be loaded", hint="check the path of the module") from exc
