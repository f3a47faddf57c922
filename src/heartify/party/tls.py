"""The certificate and key that a service proves itself with, checked before it listens."""

from __future__ import annotations

import dataclasses
import ssl
import stat
from pathlib import Path

from heartify.errors import InputError, UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class TlsFiles:
    """A PEM certificate chain, leaf first, and its unencrypted PEM key that only the service's user can read."""

    certificate: Path
    key: Path


def choose_tls(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """Return the files of a service's options, or None for none.

    Raises:
        UsageError: only one was given.
        InputError: they can't be read, don't belong together, or the key is open to other users.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("a certificate needs its key, and the other way round", hint="--tls-certificate and --tls-key")
    try:
        if stat.S_IMODE(key.stat().st_mode) & 0o077:
            raise InputError(f"the TLS key {key} is open to other users", hint=f"chmod 600 {key}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A key with a passphrase would make OpenSSL ask at the terminal: a service has none.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as exc:
        raise InputError(
            f"the TLS certificate {certificate} and the key {key} don't make a chain ({type(exc).__name__})",
            hint="PEM files: the certificate with its intermediates, leaf first, and the leaf's unencrypted key",
        ) from exc
    return TlsFiles(certificate, key)
