"""Products of AMD's EPYC line, and the security versions of their firmware: AMD's TCB_VERSION.

A TCB_VERSION is eight bytes, one a component, and the components' places differ between products, so no TCB can be read
before the product is known. Versions are compared component by component: a sum or an integer of the eight bytes would
let new microcode hide old firmware. Source: AMD publication 56860, SEV-SNP firmware ABI, table TCB_VERSION; 57230, VCEK
certificate and KDS interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from heartify.errors import AttestationError

TCB_BYTES: Final = 8


class SnpProduct(StrEnum):
    """A family of processors with its own AMD root key; the value is AMD's name of it in certificates."""

    MILAN = "Milan"
    GENOA = "Genoa"  # also Bergamo and Siena
    TURIN = "Turin"

    @property
    def components(self) -> tuple[str, ...]:
        """Return the names of the components that a TCB of this product counts."""
        return tuple(_OFFSETS[self])

    @property
    def hardware_id_bytes(self) -> int:
        """Return how many bytes of a report's chip id the product uses; the rest is zero."""
        return 8 if self is SnpProduct.TURIN else 64


_MILAN_OFFSETS: Final = MappingProxyType({"boot_loader": 0, "tee": 1, "snp": 6, "microcode": 7})
_TURIN_OFFSETS: Final = MappingProxyType({"fmc": 0, "boot_loader": 1, "tee": 2, "snp": 3, "microcode": 7})
_OFFSETS: Final = MappingProxyType(
    {SnpProduct.MILAN: _MILAN_OFFSETS, SnpProduct.GENOA: _MILAN_OFFSETS, SnpProduct.TURIN: _TURIN_OFFSETS}
)
# CPUID family (extended and base together) and the ranges of models, as reports of version 3 and later state them.
_MODELS: Final = (
    (SnpProduct.MILAN, 0x19, 0x00, 0x0F),
    (SnpProduct.GENOA, 0x19, 0x10, 0x1F),
    (SnpProduct.GENOA, 0x19, 0xA0, 0xAF),
    (SnpProduct.TURIN, 0x1A, 0x00, 0x1F),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpTcb:
    """Security versions, 0 to 255 each. `fmc` exists on Turin and later only, and is None elsewhere."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int
    fmc: int | None = None

    def versions(self) -> dict[str, int]:
        """Return the versions by component, without those that the product doesn't have."""
        named = {name: getattr(self, name) for name in ("fmc", "boot_loader", "tee", "snp", "microcode")}
        return {name: version for name, version in named.items() if version is not None}

    def components_below(self, floor: SnpTcb) -> tuple[str, ...]:
        """Return the names of the components that are older than the floor's; none means that all reach it.

        A component that the floor has and this TCB lacks counts as older.
        """
        own = self.versions()
        return tuple(name for name, least in floor.versions().items() if own.get(name, -1) < least)

    def __str__(self) -> str:
        return " ".join(f"{name}={version}" for name, version in self.versions().items())


def parse_tcb(field: bytes, product: SnpProduct) -> SnpTcb:
    """Parse the eight bytes of a TCB_VERSION. Raises AttestationError for reserved bytes in use."""
    offsets = _OFFSETS[product]
    if len(field) != TCB_BYTES:
        raise AttestationError(f"a TCB version has {len(field)} bytes, expected {TCB_BYTES}")
    if any(byte for offset, byte in enumerate(field) if offset not in offsets.values()):
        raise AttestationError(f"a TCB version of {product} uses reserved bytes")
    return SnpTcb(**{name: field[offset] for name, offset in offsets.items()})


def product_of_processor(family: int, model: int) -> SnpProduct:
    """Return the product with this CPUID family and model. Raises AttestationError for one without SEV-SNP."""
    for product, its_family, first, last in _MODELS:
        if family == its_family and first <= model <= last:
            return product
    raise AttestationError(f"processor family {family:#x} model {model:#x} is no known product with SEV-SNP")


def parse_product(name: str) -> SnpProduct:
    """Return the product of a certificate's name, such as `Milan` or `Milan-B1`.

    Raises AttestationError for a name that isn't AMD's.
    """
    for product in SnpProduct:
        if re.fullmatch(rf"{product}(-[A-Z][0-9])?", name):
            return product
    raise AttestationError(f"{name[:24]!r} is no known product with SEV-SNP")
