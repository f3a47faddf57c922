"""Everything that `cryptography` raises for a certificate or revocation list that is malformed.

Most of it is ValueError; some isn't, such as a version that doesn't exist or an extension that is there twice. Parts
are read when they are asked for, so reading one later can raise the same. Whoever parses what a host sent catches all
of these: an error of another family would be a failure inside instead of a refusal.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

MALFORMED_X509: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
