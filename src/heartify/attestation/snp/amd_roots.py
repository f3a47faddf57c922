"""AMD's root keys (ARK), each as the SHA-256 of its public key: what a policy pins, and all that it needs to pin.

The certificate travels with the evidence; whoever sends it can't choose it, because its key must
have this digest. VCEK and VLEK chains of one product end at the same root. A test computes the digests again from
certificates that AMD's key service gave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from heartify.attestation.snp.tcb import SnpProduct

AMD_ROOT_NAMES: Final[Mapping[SnpProduct, str]] = MappingProxyType(
    {product: f"AMD ARK {product}" for product in SnpProduct}
)
# SHA-256 over the DER of SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
AMD_ROOT_PINS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "AMD ARK Milan": bytes.fromhex("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"),
        "AMD ARK Genoa": bytes.fromhex("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"),
        "AMD ARK Turin": bytes.fromhex("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"),
    }
)
