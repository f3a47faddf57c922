"""What AMD's certificate of a signing key says about chip and firmware: the extensions below 1.3.6.1.4.1.3704.1.

A VCEK belongs to one chip at one firmware level, a VLEK to one cloud provider at one firmware level. Source: AMD
publication 57230, "Versioned Chip Endorsement Key certificate and KDS interface specification", tables of extensions.
The certificate's signature is `chain`'s business; this module must never believe that it was checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from heartify.attestation.snp.tcb import SnpProduct, SnpTcb, parse_product
from heartify.errors import AttestationError

_ARC: Final = "1.3.6.1.4.1.3704.1"
_PRODUCT_NAME: Final = f"{_ARC}.2"
_HARDWARE_ID: Final = f"{_ARC}.4"
_PROVIDER: Final = f"{_ARC}.5"
_COMPONENTS: Final = {
    "boot_loader": f"{_ARC}.3.1",
    "tee": f"{_ARC}.3.2",
    "snp": f"{_ARC}.3.3",
    "microcode": f"{_ARC}.3.8",
    "fmc": f"{_ARC}.3.9",
}
# Places of components that no product has yet: security versions 4 to 7.
_UNUSED_COMPONENTS: Final = tuple(f"{_ARC}.3.{number}" for number in (4, 5, 6, 7))
_INTEGER, _IA5_STRING = 0x02, 0x16


@dataclass(frozen=True, slots=True)
class SnpLeaf:
    """`product_name` with stepping, such as `Milan-B0`; `hardware_id` is None and `provider` a name for a VLEK."""

    product: SnpProduct
    product_name: str
    tcb: SnpTcb
    hardware_id: bytes | None
    provider: str | None


def parse_leaf(certificate: x509.Certificate) -> SnpLeaf:
    """Read AMD's extensions. Raises AttestationError for a missing or malformed one, or for neither or both kinds."""
    values = {
        extension.oid.dotted_string: extension.value.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    name = _text(values, _PRODUCT_NAME)
    product = parse_product(name)
    if any(_number(values, oid) for oid in _UNUSED_COMPONENTS if oid in values):
        raise AttestationError("AMD's certificate counts a firmware component that this release doesn't know")
    if ("fmc" in product.components) != (_COMPONENTS["fmc"] in values):
        raise AttestationError(f"AMD's certificate doesn't have the firmware components of {product}")
    tcb = SnpTcb(**{component: _number(values, _COMPONENTS[component]) for component in product.components})
    if (_HARDWARE_ID in values) == (_PROVIDER in values):
        raise AttestationError("AMD's certificate must name either a chip or a cloud provider")
    if _PROVIDER in values:
        return SnpLeaf(product, name, tcb, None, _text(values, _PROVIDER))
    hardware_id = values[_HARDWARE_ID]
    if len(hardware_id) != product.hardware_id_bytes or not any(hardware_id):
        raise AttestationError(f"AMD's certificate names a chip by {len(hardware_id)} bytes")
    return SnpLeaf(product, name, tcb, hardware_id, None)


def _number(values: dict[str, bytes], oid: str) -> int:
    """Return a DER INTEGER of 0 to 255."""
    content = _der_content(values, oid, _INTEGER)
    number = int.from_bytes(content, "big", signed=True)
    # DER (X.690, section 8.3.2): no longer than needed.
    if not 0 <= number <= 255 or len(content) != (2 if number > 127 else 1):
        raise AttestationError(f"AMD's certificate has a malformed number in extension {oid}")
    return number


def _text(values: dict[str, bytes], oid: str) -> str:
    content = _der_content(values, oid, _IA5_STRING)
    if not content or not all(0x20 <= byte < 0x7F for byte in content):
        raise AttestationError(f"AMD's certificate has a malformed text in extension {oid}")
    return content.decode("ascii")


def _der_content(values: dict[str, bytes], oid: str, tag: int) -> bytes:
    der = values.get(oid, b"")
    # Every value here is shorter than 128 bytes, so its length is one byte.
    if len(der) < 3 or der[0] != tag or der[1] != len(der) - 2 or der[1] > 127:
        raise AttestationError(f"AMD's certificate lacks extension {oid}, or it is malformed")
    return der[2:]
