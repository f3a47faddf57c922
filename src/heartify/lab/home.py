"""A lab's home folder: account, result key, market, and one folder for each deal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import msgspec

from heartify.errors import UsageError
from heartify.party.home import load_document
from heartify.protocol.canonical import Address, Digest, HexBytes

INIT_HINT = "run `heartify lab init` first, or give the right --home"


class LabSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What doesn't change after init; `result_key` is the public key that results are sealed to."""

    format: Literal["heartify.lab/1"] = "heartify.lab/1"
    account: Address
    result_key: HexBytes


class DealRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the lab keeps of a deal: enough to hand in the plan again, open the result and account for the money."""

    format: Literal["heartify.deal-record/1"] = "heartify.deal-record/1"
    deal_id: Digest
    plan: HexBytes
    pool_url: str
    deadline: int
    match_gas: int
    match_tx: str


@dataclasses.dataclass(frozen=True, slots=True)
class LabHome:
    """The paths of a lab's home."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """Return the settings' path."""
        return self.path / "lab.json"

    @property
    def account_keystore(self) -> Path:
        """Return the path of the account's keystore."""
        return self.path / "account.json"

    @property
    def result_keystore(self) -> Path:
        """Return the path of the result key's keystore."""
        return self.path / "result-key.json"

    def deal_folder(self, deal_id: str) -> Path:
        """Return the folder of a deal."""
        return self.path / "deals" / deal_id.removeprefix("0x")

    def dry_run_file(self, plan_digest: str) -> Path:
        """Return the path of what is kept of a plan's dry run."""
        return self.path / "dry-runs" / f"{plan_digest.removeprefix('0x')}.json"

    def settings(self) -> LabSettings:
        """Load the settings; raises UsageError when the home isn't initialised."""
        return load_document(self.settings_file, LabSettings, hint=INIT_HINT)

    def record(self, deal_id: str) -> DealRecord:
        """Load what was kept of a deal; raises UsageError when this lab has no such deal."""
        hint = "`heartify lab status` lists this lab's deals"
        return load_document(self.deal_folder(deal_id) / "deal.json", DealRecord, hint=hint)

    def deal_ids(self) -> tuple[str, ...]:
        """Return the ids of all deals of this lab."""
        folders = sorted((self.path / "deals").glob("*/deal.json"))
        return tuple("0x" + path.parent.name for path in folders)

    def check_new(self) -> None:
        """Raise UsageError when the home is initialised already."""
        if self.settings_file.exists():
            raise UsageError(f"{self.path} is a lab's home already", hint="choose another --home")
