"""Options that the commands of `heartify attest` share, and what is made of their texts."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from heartify.attestation.collateral_service.collateral_cache import MemoryCollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.offline_bundle import BUNDLE_LIMIT_BYTES, OfflineBundle
from heartify.attestation.collateral_service.signatures import root_keys_of
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.policy_file import load_policy
from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.chain.deployment import load_deployment
from heartify.errors import InputError, UsageError
from heartify.hospital.collateral import collateral_cache_of
from heartify.hospital.home import HospitalHome
from heartify.party.app_release import deployed_app_release
from heartify.party.collateral_settings import (
    CollateralSettings,
    build_collateral_source,
    check_collateral_settings,
    load_collateral_settings,
)
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.trust import load_trust
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import parse_json

PolicyFile = Annotated[Path | None, typer.Option(help="The verifier policy to judge by, a .toml or .json file.")]
Home = Annotated[Path | None, typer.Option(help="A party's home, whose policy and collateral.toml count.")]
Bundle = Annotated[Path | None, typer.Option(help="A collateral bundle to read from, without network.")]
PccsUrl = Annotated[str | None, typer.Option(help="A PCCS, or Intel's own service, for SGX and TDX.")]
KdsUrl = Annotated[str | None, typer.Option(help="AMD's key distribution service, or a cache of it, for SEV-SNP.")]
CaFile = Annotated[Path | None, typer.Option(help="An authority in PEM to believe for these services.")]
At = Annotated[str | None, typer.Option(help="The time to judge at, such as 2026-06-01T12:00:00Z; else now.")]

Source = FetchedCollateral | OfflineBundle


def policy_of(policy: Path | None, home: Path | None) -> VerifierPolicy:
    """Return the policy of a file, or what a home's party believes. Raises UsageError when neither is given."""
    if policy is not None:
        return load_policy(existing(policy))
    if home is None:
        raise UsageError("nothing says which policy to judge by", hint="give --policy or --home")
    return load_trust(existing(home))


@contextlib.contextmanager
def collateral_source(
    policy: VerifierPolicy | None,
    home: Path | None,
    *,
    collateral: Path | None = None,
    bundle: Path | None = None,
    pccs_url: str | None = None,
    kds_url: str | None = None,
    ca_file: Path | None = None,
) -> Iterator[Source | None]:
    """Give the place that collateral comes from: what is named, else the home's settings; None is the evidence's own.

    A hospital's commands share the cache of its broker.

    Raises:
        UsageError: two places are named.
    """
    services = pccs_url is not None or kds_url is not None
    if (collateral is not None) + (bundle is not None) + services > 1:
        raise UsageError("collateral comes from one place", hint="one of --collateral, --bundle, --pccs-url/--kds-url")
    keys = None if policy is None else root_keys_of(policy)
    if bundle is not None or services:
        settings = CollateralSettings(
            format="heartify.collateral/1",
            pccs_url=pccs_url,
            kds_url=kds_url,
            bundle=None if bundle is None else str(bundle),
            ca_file=None if ca_file is None else str(ca_file),
        )
        check_collateral_settings(settings)
        yield build_collateral_source(settings, Path(), MemoryCollateralCache(), keys)
        return
    stored = None if home is None or collateral is not None else load_collateral_settings(home)
    if stored is None or home is None:
        yield None
        return
    with collateral_cache_of(home) as cache:
        yield build_collateral_source(stored, home, cache, keys)


def releases_of(home: Path | None) -> list[AppRelease]:
    """Return the app releases that a home's party approved: a hospital's own list, else what its deployment names.

    Raises:
        ServiceError: the broker's database can't be opened.
    """
    if home is None:
        return []
    hospital = HospitalHome(home)
    if not hospital.settings_file.exists():
        deployment = home / DEPLOYMENT_FILE
        return [deployed_app_release(load_deployment(deployment))] if deployment.exists() else []
    engine = open_database(hospital.database_url)
    try:
        return list(BrokerStore(engine).approvals.all())
    finally:
        engine.dispose()


def moment(text: str | None) -> int:
    """Return a time as UTC seconds; now when none is given. Raises UsageError for a text that is no time."""
    if text is None:
        return int(time.time())
    try:
        time_given = dt.datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{text[:40]!r} is no time", hint="such as 2026-06-01T12:00:00Z") from exc
    return int((time_given if time_given.tzinfo else time_given.replace(tzinfo=dt.UTC)).timestamp())


def hex_bytes(option: str, text: str) -> bytes:
    """Return bytes given as hex. Raises UsageError."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as exc:
        raise UsageError(f"{option} is not hexadecimal") from exc


def existing(path: Path | None) -> Path:
    """Return a path that exists. Raises UsageError."""
    if path is None or not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    return path


def read(path: Path) -> bytes:
    """Read a file. Raises UsageError when there is none, InputError when it can't be read or is too large."""
    try:
        if existing(path).stat().st_size > BUNDLE_LIMIT_BYTES:
            raise InputError(f"{path} is larger than {BUNDLE_LIMIT_BYTES} bytes")
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or type(exc).__name__}") from exc


def read_text(path: Path | None) -> str | None:
    """Read a text file, None for none. Raises InputError when it isn't UTF-8."""
    try:
        return None if path is None else read(path).decode()
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8 text") from exc


def read_app_release(path: Path) -> AppRelease:
    """Read an app release document. Raises DocumentError when it is none."""
    return parse_json(read(path), AppRelease)
