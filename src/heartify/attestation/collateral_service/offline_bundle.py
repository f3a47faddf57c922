"""A file of collateral for relying parties without network: `heartify.collateral-bundle/1`.

Made where there is network, carried over, read there. Entries are found by what a quote needs: TEE, FMSPC and CA for
SGX and TDX; product, chip and TCB for SEV-SNP. The file is not believed: the verifier checks the signatures in it, and
the broker's high-water marks notice a bundle that is older than one used before. The same entries give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from heartify.attestation.collateral_service.collateral_age import age_of_collateral
from heartify.attestation.collateral_service.needs import CollateralNeed, need_of
from heartify.attestation.snp.tcb import SnpProduct
from heartify.errors import InputError, ServiceError
from heartify.protocol.evidence import Evidence

BUNDLE_LIMIT_BYTES: Final = 64 * 1024 * 1024


class BundleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One need's collateral. `need` is such as `tdx/B0C06F000000/platform`, `collateral` the text of the evidence."""

    need: str
    collateral: str


class BundleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    format: Literal["heartify.collateral-bundle/1"] = "heartify.collateral-bundle/1"
    entries: tuple[BundleEntry, ...]


class OfflineBundle:
    """A collateral source that reads from a bundle and asks nobody."""

    def __init__(self, entries: Mapping[str, str], *, snp_product: SnpProduct | None = None) -> None:
        self._entries = MappingProxyType(dict(entries))
        self._snp_product = snp_product

    @classmethod
    def load(cls, path: Path, *, snp_product: SnpProduct | None = None) -> OfflineBundle:
        """Read a bundle. Raises InputError when it can't be read, is no bundle, or names a need twice."""
        return cls(load_bundle(path), snp_product=snp_product)

    def collateral_for(self, evidence: Evidence, now_utc_seconds: int) -> str:  # noqa: ARG002 - the port's argument
        """Return the bundle's collateral for evidence. Raises as `CollateralSource` says."""
        return self.collateral_of(need_of(evidence, self._snp_product))

    def collateral_of(self, need: CollateralNeed) -> str:
        """Return the bundle's collateral for a need. Raises ServiceError when the bundle has none."""
        try:
            return self._entries[need.name]
        except KeyError:
            raise ServiceError(
                f"the collateral bundle has nothing for {need.name}",
                hint="save it where there is network: heartify attest tcb-status QUOTE --pccs-url URL --save FILE",
            ) from None

    @property
    def entries(self) -> Mapping[str, str]:
        """Return collateral by need."""
        return self._entries


def encode_bundle(entries: Mapping[str, str]) -> bytes:
    """Encode a bundle; entries stand in the order of their names. Raises AttestationError for no collateral at all."""
    for text in entries.values():
        age_of_collateral(text)
    document = BundleDocument(entries=tuple(BundleEntry(name, entries[name]) for name in sorted(entries)))
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def load_bundle(path: Path) -> dict[str, str]:
    """Return a bundle's collateral by need. Raises InputError."""
    try:
        if path.stat().st_size > BUNDLE_LIMIT_BYTES:
            raise InputError(f"the collateral bundle {path.name} is larger than {BUNDLE_LIMIT_BYTES} bytes")
        document = msgspec.json.decode(path.read_bytes(), type=BundleDocument)
    except OSError as exc:
        raise InputError(f"the collateral bundle {path.name} can't be read: {type(exc).__name__}") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError(f"{path.name} is no collateral bundle: {exc}") from exc
    entries = {entry.need: entry.collateral for entry in document.entries}
    if len(entries) != len(document.entries):
        raise InputError(f"the collateral bundle {path.name} has two entries for one platform")
    return entries
