"""A hospital's home folder.

    hospital.json      settings                     account.json   keystore: owner of datasets, receives payments
    deployment.json    the market                   broker.json    keystore: signs challenges, releases, key receipts
    broker.sqlite      the broker's state           vault.json     keystore: seed of ledgers, and unless kek.json says
    kek.json           where its KEK lies                          otherwise of the key that wraps master keys (KEK)
    broker.lock        held by who uses the state

The account key is needed to publish and grant; the broker runs with the other two.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import sqlalchemy as sa

from heartify.cohort.storage.store_url import parse_store_url
from heartify.errors import InputError, UsageError
from heartify.party.home import load_document
from heartify.protocol.canonical import Address
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.plan import Name

_DATABASE_HINT = "give postgresql+psycopg://USER@HOST/DATABASE, or nothing for a file in the home"
INIT_HINT = "run `heartify hospital init` first, or give the right --home"


class HospitalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What doesn't change after init. `store_url` is where versions are put, `broker_url` where the broker answers.

    `public_store_url` is where others read the versions, when that is another address of the same files, such as the
    public side of a bucket. `database_url` is where the broker's state is, when that isn't `broker.sqlite` in the home.
    """

    format: Literal["heartify.hospital/1"] = "heartify.hospital/1"
    name: Name
    account: Address
    broker: Address
    store_url: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    broker_url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s]{1,240}\\Z")]
    public_store_url: Annotated[str, msgspec.Meta(min_length=1, max_length=400)] | None = None
    database_url: Annotated[str, msgspec.Meta(min_length=1, max_length=400)] | None = None

    @property
    def registered_store_url(self) -> str:
        """Return the address that the market learns."""
        return self.public_store_url or self.store_url


def check_settings(
    name: str, store_url: str, broker_url: str, public_store_url: str | None = None, database_url: str | None = None
) -> None:
    """Check what a steward chooses at init, before anything is made: building a struct does not check its values.

    Raises:
        InputError: a value that the settings could not be read back with.
        UsageError: a store's address is of no known kind, or holds a secret, which would go on chain; the database's
            is none, or holds a password.
    """
    chosen = {"name": name, "store_url": store_url, "broker_url": broker_url, "public_store_url": public_store_url}
    anybody = {"account": ZERO_ADDRESS, "broker": ZERO_ADDRESS}
    for url in (store_url, public_store_url):
        if url:
            parse_store_url(url)
    if database_url is not None:
        check_database_url(database_url)
    try:
        msgspec.convert({**chosen, **anybody}, HospitalSettings)
    except msgspec.ValidationError as exc:
        raise InputError(
            f"the hospital's settings are malformed: {exc}",
            hint="a name starts with a letter and has letters, digits, _ . -; a broker URL starts with http:// or https://",
        ) from exc


def check_database_url(url: str) -> None:
    """Raise UsageError unless this is the address of a PostgreSQL database, without a password."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as exc:
        raise UsageError("the database's URL is malformed", hint=_DATABASE_HINT) from exc
    if parsed.password is not None or any("password" in key for key in parsed.query):
        raise UsageError(
            "the database's URL holds a password, which process lists and histories show",
            hint="leave it out: put it into ~/.pgpass, or name such a file by ?passfile=PATH",
        )
    if parsed.drivername != "postgresql+psycopg":
        raise UsageError(f"{parsed.drivername} is no kind of database for a broker's state", hint=_DATABASE_HINT)


@dataclasses.dataclass(frozen=True, slots=True)
class HospitalHome:
    """The paths of a hospital's home."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """Return the settings' path."""
        return self.path / "hospital.json"

    @property
    def account_keystore(self) -> Path:
        """Return the path of the owner account's keystore."""
        return self.path / "account.json"

    @property
    def broker_keystore(self) -> Path:
        """Return the path of the broker key's keystore."""
        return self.path / "broker.json"

    @property
    def vault_keystore(self) -> Path:
        """Return the path of the vault seed's keystore."""
        return self.path / "vault.json"

    def publication_report(self, version: str) -> Path:
        """Return the path of a version's publication report: what the steward accepted, and why. It stays here."""
        return self.path / "publications" / f"{version.removeprefix('0x')}.json"

    def change_record(self, version: str) -> Path:
        """Return the path of what was compared with earlier versions before this one was published. It stays here."""
        return self.path / "publications" / f"{version.removeprefix('0x')}.changes.json"

    def publishing(self, dataset: str) -> Path:
        """Return the folder of a dataset's publication under way."""
        return self.path / "publishing" / dataset.removeprefix("0x")

    def publications_under_way(self) -> tuple[str, ...]:
        """Return the datasets of publications that have not ended: each has a journal, with a wrapped key in it."""
        return tuple(sorted(f"0x{path.parent.name}" for path in self.path.glob("publishing/*/journal.json")))

    def ledgers(self, dataset: str) -> Path:
        """Return the folder of a dataset's change ledgers."""
        return self.path / "ledgers" / dataset.removeprefix("0x")

    @property
    def destructions(self) -> Path:
        """Return the folder of the destruction receipts of withdrawn versions."""
        return self.path / "destructions"

    @property
    def work_folder(self) -> Path:
        """Return where plaintext is joined while a source is read; it is empty otherwise."""
        return self.path / "work"

    @property
    def database_url(self) -> str:
        """Return the SQLAlchemy URL of the broker's state."""
        if self.settings_file.exists() and (chosen := self.settings().database_url) is not None:
            return chosen
        return f"sqlite:///{self.path / 'broker.sqlite'}"

    def settings(self) -> HospitalSettings:
        """Load the settings.

        Raises:
            UsageError: the home isn't initialised.
        """
        return load_document(self.settings_file, HospitalSettings, hint=INIT_HINT)

    def check_new(self) -> None:
        """Raise UsageError when the home is initialised already."""
        if self.settings_file.exists():
            raise UsageError(f"{self.path} is a hospital's home already", hint="choose another --home")
