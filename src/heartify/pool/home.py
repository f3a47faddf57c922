"""A pool's home folder: settings, account, work orders, and for the simulated TEE the simulated platform's keys."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from heartify.errors import UsageError
from heartify.party.home import load_document
from heartify.protocol.canonical import Address

INIT_HINT = "run `heartify pool init` first, or give the right --home"
Isolation: TypeAlias = Literal["auto", "bubblewrap", "unsafe-plain-process"]


def parse_isolation(text: str) -> Isolation:
    """Return an isolation by its name; raises UsageError for any other text."""
    try:
        isolation: Isolation = msgspec.convert(text, Isolation)
    except msgspec.ValidationError as exc:
        raise UsageError(f"{text!r} is no isolation", hint="auto, bubblewrap or unsafe-plain-process") from exc
    return isolation


class PoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a pool offers. `price` is in base units of the token for one run of the size class."""

    format: Literal["heartify.pool/1"] = "heartify.pool/1"
    account: Address
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s]{1,240}\\Z")]
    tee_kind: Literal["simulated-sgx"]
    size_class: int
    price: int
    isolation: Isolation


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
    def simulated_root_file(self) -> Path:
        """Return the path of the simulated root's certificate, for those who choose to believe it."""
        return self.path / "unsafe-simulated-root.pem"

    def settings(self) -> PoolSettings:
        """Load the settings; raises UsageError when the home isn't initialised."""
        return load_document(self.settings_file, PoolSettings, hint=INIT_HINT)

    def check_new(self) -> None:
        """Raise UsageError when the home is initialised already."""
        if self.settings_file.exists():
            raise UsageError(f"{self.path} is a pool's home already", hint="choose another --home")
