"""What a policy demands of SEV-SNP evidence: the [sev_snp] table, in plain types so that it can be read from a file.

Every default is the strict one. A processor product is accepted exactly when the policy names the oldest firmware that
is good enough for it, so a policy that says nothing accepts no SEV-SNP at all: which firmware has published weaknesses
changes with AMD's security bulletins, and no constant in a program could know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from heartify.attestation.snp.tcb import SnpProduct, SnpTcb, parse_product
from heartify.errors import AttestationError, PolicyError

_FLOOR: Final = re.compile(r"(\S+)((?: [a-z_]+=\d{1,3})+)")
_ABI: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")
HOST_DATA_BYTES: Final = 32
ID_BYTES: Final = 16
KEY_DIGEST_BYTES: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpDemands:
    """Demands on a report and its chain. Raises PolicyError when a member can't be understood.

    `minimum_tcb`: one text a product, `"Milan boot_loader=4 tee=0 snp=24 microcode=219"`; every component must be
    named (Turin has `fmc` too). `Milan-B1` instead of `Milan` holds for that stepping only, and before the general one:
    microcode is counted apart for each stepping. `minimum_abi`: firmware version that must be committed. The default,
    1.55, is the first whose reports can state the alias check.

    `require_alias_check`: the firmware must have found no aliased memory since boot. Without it a memory module that
    lies about its size lets a host replay the guest's memory (BadRAM, AMD-SB-3015), which no other field would show.
    `accept_vlek`: accept reports signed by a key that AMD leases to a cloud provider. They name no chip, so
    no list of platforms can hold for them. `allow_smt`, `allow_cxl`: the platform may share cores between threads, the
    guest may be put on CXL memory. `require_ciphertext_hiding`: the host mustn't see ciphertext of the guest's
    memory; only Genoa's and Turin's newer firmware can.

    `host_data_hex` (32 bytes), `family_id_hex`, `image_id_hex` (16 bytes): exactly these, by default zeros.
    `id_key_digests`, `author_key_digests`: SHA-384 of keys that may have signed the guest's identity; empty means that
    no key did.
    """

    minimum_tcb: frozenset[str] = frozenset()
    minimum_abi: str = "1.55"
    min_guest_svn: int = 0
    accept_vlek: bool = False
    require_alias_check: bool = True
    require_ciphertext_hiding: bool = False
    allow_smt: bool = False
    allow_cxl: bool = False
    host_data_hex: str = "00" * HOST_DATA_BYTES
    family_id_hex: str = "00" * ID_BYTES
    image_id_hex: str = "00" * ID_BYTES
    id_key_digests: frozenset[str] = frozenset()
    author_key_digests: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._floors()
        self.abi()
        if self.min_guest_svn < 0:
            raise PolicyError("sev_snp: min_guest_svn can't be negative")
        _check_hex("host_data_hex", self.host_data_hex, HOST_DATA_BYTES)
        _check_hex("family_id_hex", self.family_id_hex, ID_BYTES)
        _check_hex("image_id_hex", self.image_id_hex, ID_BYTES)
        for name in ("id_key_digests", "author_key_digests"):
            for digest in getattr(self, name):
                _check_hex(name, digest, KEY_DIGEST_BYTES)

    def abi(self) -> tuple[int, int]:
        """Return the oldest acceptable firmware version as numbers."""
        match = _ABI.fullmatch(self.minimum_abi)
        if match is None:
            raise PolicyError(f"sev_snp: minimum_abi {self.minimum_abi[:16]!r} is not a version such as 1.55")
        return int(match[1]), int(match[2])

    def floor_for(self, product_name: str) -> SnpTcb | None:
        """Return the oldest acceptable firmware of a product such as `Milan-B1`; None when it isn't accepted."""
        floors = self._floors()
        return floors.get(product_name) or floors.get(product_name.partition("-")[0])

    def products(self) -> tuple[str, ...]:
        """Return the names of the accepted products, sorted."""
        return tuple(sorted(self._floors()))

    def _floors(self) -> dict[str, SnpTcb]:
        floors: dict[str, SnpTcb] = {}
        for text in sorted(self.minimum_tcb):
            name, floor = _parse_floor(text)
            if name in floors:
                raise PolicyError(f"sev_snp: minimum_tcb names {name} twice")
            floors[name] = floor
        return floors


def _parse_floor(text: str) -> tuple[str, SnpTcb]:
    match = _FLOOR.fullmatch(text)
    product = _product_of(match[1]) if match else None
    if match is None or product is None:
        raise PolicyError(
            f"sev_snp: minimum_tcb {text[:80]!r} can't be read",
            hint='write "Milan boot_loader=4 tee=0 snp=24 microcode=219"',
        )
    words = [word.split("=") for word in match[2].split()]
    versions = {name: int(number) for name, number in words}
    if sorted(name for name, _ in words) != sorted(product.components) or max(versions.values()) > 255:
        raise PolicyError(
            f"sev_snp: minimum_tcb of {match[1]} must name each of {', '.join(product.components)} once, 0 to 255"
        )
    return match[1], SnpTcb(**versions)


def _product_of(name: str) -> SnpProduct | None:
    try:
        return parse_product(name)
    except AttestationError:
        return None


def _check_hex(name: str, text: str, size: int) -> None:
    if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", text):
        raise PolicyError(f"sev_snp: {name} must be {2 * size} lower-case hex digits")
