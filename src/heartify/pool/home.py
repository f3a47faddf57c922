"""A pool's home folder: settings, account, work orders, and for the simulated TEE the simulated platform's keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from heartify.errors import UsageError
from heartify.party.home import load_document
from heartify.pool.courier import BROKER_PATIENCE_SECONDS
from heartify.protocol.canonical import Address, HexBytes
from heartify.protocol.evidence import TEE_KIND_NAMES
from heartify.tee.choose import SandboxChoice, TeeKindName

INIT_HINT = "run `heartify pool init` first, or give the right --home"


def parse_sandbox(text: str) -> SandboxChoice:
    """Return a sandbox by its name; raises UsageError for any other text."""
    try:
        sandbox: SandboxChoice = msgspec.convert(text, SandboxChoice)
    except msgspec.ValidationError as exc:
        raise UsageError(f"{text!r} is no isolation", hint="auto, bubblewrap or unsafe-plain-process") from exc
    return sandbox


def parse_pool_tee_kind(text: str) -> TeeKindName:
    """Return a kind of TEE by its name; raises UsageError for any other text."""
    try:
        kind: TeeKindName = msgspec.convert(text, TeeKindName)
    except msgspec.ValidationError as exc:
        raise UsageError(f"{text!r} is no TEE kind", hint=f"known kinds: {', '.join(TEE_KIND_NAMES)}") from exc
    return kind


class PoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a pool offers. `price` is in base units of the token for one run of the size class.

    `isolation` is the sandbox that a simulated kind asks for; `enclave_build` the folder of what hardware runs.
    `broker_patience_seconds` is how long a hospital's broker that is away is waited for.
    """

    format: Literal["heartify.pool/1"] = "heartify.pool/1"
    account: Address
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s]{1,240}\\Z")]
    tee_kind: TeeKindName
    size_class: int
    price: int
    isolation: SandboxChoice
    enclave_build: str | None = None
    broker_patience_seconds: Annotated[int, msgspec.Meta(ge=0, le=600)] = int(BROKER_PATIENCE_SECONDS)

    @property
    def build_folder(self) -> Path | None:
        """Return the folder of the build, if the kind of TEE has one."""
        return None if self.enclave_build is None else Path(self.enclave_build)


class LastStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a pool found when it was last started: its enclaves' measurement, and what surrounded one of them."""

    format: Literal["heartify.pool-start/1"] = "heartify.pool-start/1"
    tee_kind: TeeKindName
    measurement: HexBytes
    isolation: str
    started_utc_seconds: int


@dataclasses.dataclass(frozen=True, slots=True)
class PoolHome:
    """The paths of a pool's home."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """Return the settings' path."""
        return self.path / "pool.json"

    @property
    def account_keystore(self) -> Path:
        """Return the path of the account's keystore."""
        return self.path / "account.json"

    @property
    def work_orders_file(self) -> Path:
        """Return the path of the work orders' database."""
        return self.path / "work-orders.sqlite"

    @property
    def platform_folder(self) -> Path:
        """Return the folder of the simulated platform's keys."""
        return self.path / "unsafe-simulated-platform"

    @property
    def enclave_image_folder(self) -> Path:
        """Return the folder of the measured copy that enclaves run from."""
        return self.path / "enclave-image"

    @property
    def store_cache_folder(self) -> Path:
        """Return the folder of downloaded encrypted files."""
        return self.path / "store-cache"

    @property
    def last_start_file(self) -> Path:
        """Return the path of what the last start found."""
        return self.path / "last-start.json"

    @property
    def simulated_root_file(self) -> Path:
        """Return the path of the simulated root's certificate, for those who choose to believe it."""
        return self.path / "unsafe-simulated-root.pem"

    def settings(self) -> PoolSettings:
        """Load the settings; raises UsageError when the home isn't initialised."""
        return load_document(self.settings_file, PoolSettings, hint=INIT_HINT)

    def last_start(self) -> LastStart | None:
        """Return what the last start found, None before the first one."""
        if not self.last_start_file.exists():
            return None
        return load_document(self.last_start_file, LastStart, hint="start the pool again")

    def check_new(self) -> None:
        """Raise UsageError when the home is initialised already."""
        if self.settings_file.exists():
            raise UsageError(f"{self.path} is a pool's home already", hint="choose another --home")
