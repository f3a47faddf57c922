"""`collateral.toml` in a party's home: where it gets the collateral to verify evidence with.

    format = "heartify.collateral/1"
    pccs_url = "https://pccs.hospital.example:8081"   # SGX and TDX: a PCCS of one's own, or Intel's service
    kds_url = "https://kds.hospital.example"          # SEV-SNP: AMD's service, or a cache of it
    ca_file = "pccs-ca.pem"                           # an authority for these services, beside the public ones
    refresh_hours = 6
    snp_product = "Milan"                             # for reports of version 2, which don't say it

or, without network, `bundle = "collateral-bundle.json"`. Without the file a party believes what the evidence's host
sends, as far as it is signed. Relative paths are relative to the home. Unknown members are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from heartify.attestation.collateral_service.collateral_cache import CollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.fetching import Fetch
from heartify.attestation.collateral_service.kds_client import KdsClient
from heartify.attestation.collateral_service.offline_bundle import OfflineBundle
from heartify.attestation.collateral_service.pccs_client import PccsClient
from heartify.attestation.snp.tcb import SnpProduct
from heartify.errors import InputError, UsageError
from heartify.party.collateral_http import CollateralHttp, check_service_url
from heartify.party.home import write_atomically

COLLATERAL_FILE = "collateral.toml"
_FILE_LIMIT_BYTES = 65536
_Url: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]{1,240}\Z")]
_Hours: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=720)]


class CollateralSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The document. Paths are texts as written."""

    format: Literal["heartify.collateral/1"]
    pccs_url: _Url | None = None
    kds_url: _Url | None = None
    bundle: str | None = None
    ca_file: str | None = None
    refresh_hours: _Hours = 6
    snp_product: SnpProduct | None = None
    unsafe_allow_http: bool = False


def check_collateral_settings(settings: CollateralSettings) -> None:
    """Raise UsageError for settings that contradict each other or name no source."""
    urls = [url for url in (settings.pccs_url, settings.kds_url) if url is not None]
    if bool(urls) == (settings.bundle is not None):
        raise UsageError(
            "collateral comes from services or from a bundle, exactly one of them",
            hint="name pccs_url and kds_url, or bundle",
        )
    for url in urls:
        check_service_url(url, unsafe_allow_http=settings.unsafe_allow_http)


def load_collateral_settings(home: Path) -> CollateralSettings | None:
    """Return a home's settings; None when it has none. Raises InputError or UsageError when they are wrong."""
    path = home / COLLATERAL_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or type(exc).__name__}") from exc
    try:
        if len(data) > _FILE_LIMIT_BYTES:
            raise InputError(f"{path} is larger than {_FILE_LIMIT_BYTES} bytes")
        settings = msgspec.toml.decode(data, type=CollateralSettings)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is malformed: {exc}") from exc
    check_collateral_settings(settings)
    return settings


def store_collateral_settings(
    home: Path, *, pccs_url: str | None = None, kds_url: str | None = None, bundle: Path | None = None
) -> None:
    """Write a home's settings, as `init` does; what is there is replaced.

    Raises:
        UsageError, InputError: no source, both kinds, or an address that isn't allowed.
    """
    chosen = {"pccs_url": pccs_url, "kds_url": kds_url, "bundle": None if bundle is None else str(bundle.resolve())}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        settings = msgspec.convert({"format": "heartify.collateral/1", **given}, CollateralSettings)
    except msgspec.ValidationError as exc:
        raise InputError(f"collateral: {exc}", hint="an address starts with https://") from exc
    check_collateral_settings(settings)
    lines = ['format = "heartify.collateral/1"', *(f"{name} = {_quoted(value)}" for name, value in given.items())]
    write_atomically(home / COLLATERAL_FILE, ("\n".join(lines) + "\n").encode())


def build_collateral_source(
    settings: CollateralSettings,
    home: Path,
    cache: CollateralCache,
    root_keys: frozenset[bytes] | None,
    fetch: Fetch | None = None,
) -> FetchedCollateral | OfflineBundle:
    """Return the source that settings name; `root_keys` as in `signatures`, `fetch` instead of HTTP if given.

    Raises:
        InputError: the bundle or the CA file can't be used.
    """
    if settings.bundle is not None:
        return OfflineBundle.load(home / settings.bundle, snp_product=settings.snp_product)
    fetch = fetch or CollateralHttp(
        ca_file=None if settings.ca_file is None else home / settings.ca_file,
        unsafe_allow_http=settings.unsafe_allow_http,
    )
    return FetchedCollateral(
        cache,
        pccs=None if settings.pccs_url is None else PccsClient(settings.pccs_url, fetch),
        kds=None if settings.kds_url is None else KdsClient(settings.kds_url, fetch),
        root_keys=root_keys,
        snp_product=settings.snp_product,
        refresh_seconds=settings.refresh_hours * 3600,
    )


def _quoted(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are a part of TOML's."""
    return msgspec.json.encode(text).decode()
