"""The typed client of Registry.vy: datasets, versions, brokers and their audit anchors, app releases and pools.

Whoever registers an id first owns it. A URI in an event is its owner's own word; what it leads to is checked by digest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from eth_abi.abi import encode
from web3.types import EventData

from heartify.chain.client import ContractClient
from heartify.chain.deployment import Deployment
from heartify.chain.events import (
    AuditLogAnchored,
    BrokerEndpoint,
    PoolEndpoint,
    ReleaseRegistered,
    VersionPublished,
    hex_of,
    place_of,
)
from heartify.chain.rpc import Connection, Finality
from heartify.chain.sender import Sender, Sent
from heartify.errors import UsageError
from heartify.protocol.audit_anchor import SignedAuditAnchor
from heartify.protocol.canonical import to_bytes, to_hex
from heartify.protocol.eip712 import Domain, bytes32
from heartify.protocol.orders import MAX_GRANTS
from heartify.protocol.signing import keccak256


def dataset_id(owner: str, salt: bytes) -> bytes32:
    """Return the id that `owner`'s dataset with this 32-byte salt gets: keccak256(abi.encode(owner, salt))."""
    return bytes32(to_hex(keccak256(encode(["address", "bytes32"], [owner, salt]))))


@dataclasses.dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A broker's newest audit anchor on chain; `time` is its block's, in UTC seconds. Sequence 0 means none."""

    sequence: int
    head: bytes32
    time: int


class RegistryClient(ContractClient):
    """Every function of the registry; without a sender only the reads."""

    def __init__(self, connection: Connection, deployment: Deployment, sender: Sender | None = None) -> None:
        super().__init__(connection, "Registry", deployment.registry, deployment.finality, sender)
        self.deployment = deployment

    # datasets

    def register_dataset(self, salt: bytes, broker: str, broker_uri: str) -> tuple[bytes32, Sent]:
        """Register a dataset of the sender with its broker's account and address; return the dataset's id.

        Raises:
            RevertError: the sender registered this salt before.
            UsageError: the client has no sender.
        """
        sent = self._send("registerDataset", salt, broker, broker_uri)
        log = self._logs_of_receipt("DatasetRegistered", sent.receipt)[0]
        return bytes32(hex_of(log["args"]["dataset"])), sent

    def set_broker(self, dataset: str, broker: str, broker_uri: str) -> Sent:
        """Name another broker for the sender's dataset."""
        return self._send("setBroker", to_bytes(dataset), broker, broker_uri)

    def publish_version(self, dataset: str, version: str, uri: str) -> Sent:
        """Register a version, whose id is its manifest's SHA-256, of the sender's dataset."""
        return self._send("publishVersion", to_bytes(dataset), to_bytes(version), uri)

    def pause_version(self, version: str) -> Sent:
        """Keep a version out of new deals."""
        return self._send("pauseVersion", to_bytes(version))

    def resume_version(self, version: str) -> Sent:
        """Let a paused version into new deals again."""
        return self._send("resumeVersion", to_bytes(version))

    def withdraw_version(self, version: str) -> Sent:
        """Keep a version out of new deals for ever."""
        return self._send("withdrawVersion", to_bytes(version))

    def pause_dataset(self, dataset: str) -> Sent:
        """Keep all versions of a dataset out of new deals."""
        return self._send("pauseDataset", to_bytes(dataset))

    def resume_dataset(self, dataset: str) -> Sent:
        """Let a paused dataset into new deals again."""
        return self._send("resumeDataset", to_bytes(dataset))

    def transfer_dataset(self, dataset: str, new_owner: str) -> Sent:
        """Offer the sender's dataset to another account, which has to accept it."""
        return self._send("transferDataset", to_bytes(dataset), new_owner)

    def accept_dataset(self, dataset: str) -> Sent:
        """Accept a dataset that its owner offered to the sender."""
        return self._send("acceptDataset", to_bytes(dataset))

    # app releases and pools

    def register_release(self, release: str, uri: str) -> Sent:
        """Register an app release, whose id is its document's digest, with the sender as its author."""
        return self._send("registerRelease", to_bytes(release), uri)

    def pause_release(self, release: str) -> Sent:
        """Keep a release out of new deals."""
        return self._send("pauseRelease", to_bytes(release))

    def resume_release(self, release: str) -> Sent:
        """Let a paused release into new deals again."""
        return self._send("resumeRelease", to_bytes(release))

    def withdraw_release(self, release: str) -> Sent:
        """Keep a release out of new deals for ever."""
        return self._send("withdrawRelease", to_bytes(release))

    def register_pool(self, uri: str) -> Sent:
        """Register the sender as a pool, or change where it answers."""
        return self._send("registerPool", uri)

    # audit anchors

    @property
    def domain(self) -> Domain:
        """Return the EIP-712 domain that audit anchors are signed under: this registry's own."""
        return Domain(self.deployment.chain_id, self.deployment.registry)

    def anchor_audit_log(self, anchor: SignedAuditAnchor) -> Sent:
        """Anchor the head of a broker's audit log; the sender needn't be the broker.

        Raises:
            RevertError: the anchor isn't newer than the broker's last, or not signed by it.
            UsageError: the anchor is for another registry or chain, or the client has no sender.
        """
        if anchor.domain != self.domain:
            raise UsageError("the audit anchor is signed for another registry or chain")
        return self._send(
            "anchorAuditLog", anchor.broker, anchor.sequence, to_bytes(anchor.head), to_bytes(anchor.signature)
        )

    def audit_anchor(self, broker: str, *, block: Finality | None = None) -> AnchoredHead:
        """Return a broker's newest audit anchor."""
        sequence, head, time = self._read("auditAnchor", broker, block=block)
        return AnchoredHead(int(sequence), bytes32(hex_of(head)), int(time))

    def domain_separator(self, *, block: Finality | None = None) -> bytes:
        """Return the contract's EIP-712 domain separator."""
        return bytes(self._read("domainSeparator", block=block))

    # reads

    def owners_of(self, versions: Sequence[str], *, block: Finality | None = None) -> tuple[str, ...]:
        """Return who signs grants of each version; ZERO_ADDRESS where it is unknown, paused or withdrawn."""
        owners: list[str] = []
        for first in range(0, len(versions), MAX_GRANTS):
            batch = [to_bytes(version) for version in versions[first : first + MAX_GRANTS]]
            owners += self._read("ownersOf", batch, block=block)
        return tuple(owner.lower() for owner in owners)

    def owner_of_dataset(self, dataset: str, *, block: Finality | None = None) -> str:
        """Return a dataset's owner; ZERO_ADDRESS for an unknown one."""
        return str(self._read("ownerOfDataset", to_bytes(dataset), block=block)).lower()

    def dataset_of(self, version: str, *, block: Finality | None = None) -> bytes32:
        """Return the dataset that a version belongs to; zero for an unknown one."""
        return bytes32(hex_of(self._read("datasetOf", to_bytes(version), block=block)))

    def broker_of(self, dataset: str, *, block: Finality | None = None) -> str:
        """Return the account of a dataset's broker."""
        return str(self._read("brokerOf", to_bytes(dataset), block=block)).lower()

    def is_version_live(self, version: str, *, block: Finality | None = None) -> bool:
        """Tell whether a version may be matched."""
        return bool(self._read("isVersionLive", to_bytes(version), block=block))

    def release_author(self, release: str, *, block: Finality | None = None) -> str:
        """Return who signs offers of a release; ZERO_ADDRESS where it is unknown, paused or withdrawn."""
        return str(self._read("releaseAuthor", to_bytes(release), block=block)).lower()

    def is_pool(self, account: str, *, block: Finality | None = None) -> bool:
        """Tell whether an account registered as a pool."""
        return bool(self._read("isPool", account, block=block))

    # events

    def version_events(
        self, from_block: int | None = None, *, dataset: str | None = None, to: Finality | None = None
    ) -> tuple[VersionPublished, ...]:
        """Return the versions ever published, oldest first, with who owns them now."""
        filtered = None if dataset is None else to_bytes(dataset)
        logs = list(self._logs("VersionPublished", self._start(from_block), to, dataset=filtered))
        owners = self.owners_of([hex_of(log["args"]["version"]) for log in logs], block=to)
        return tuple(
            VersionPublished(
                hex_of(log["args"]["dataset"]), hex_of(log["args"]["version"]), log["args"]["uri"], owner, place_of(log)
            )
            for log, owner in zip(logs, owners, strict=True)
        )

    def withdrawn_versions(self, from_block: int | None = None, *, to: Finality | None = None) -> frozenset[str]:
        """Return every version, of whatever dataset, that was withdrawn for ever."""
        logs = self._logs("VersionWithdrawn", self._start(from_block), to)
        return frozenset(str(hex_of(log["args"]["version"])) for log in logs)

    def broker_endpoints(
        self, from_block: int | None = None, *, dataset: str | None = None, to: Finality | None = None
    ) -> tuple[BrokerEndpoint, ...]:
        """Return the broker that each dataset names now, by registration or by a later change."""
        filtered = None if dataset is None else to_bytes(dataset)
        found: list[EventData] = []
        for event in ("DatasetRegistered", "BrokerChanged"):
            found += self._logs(event, self._start(from_block), to, dataset=filtered)
        newest: dict[str, BrokerEndpoint] = {}
        for log in sorted(found, key=place_of):
            values = log["args"]
            dataset_hex = hex_of(values["dataset"])
            newest[dataset_hex] = BrokerEndpoint(dataset_hex, values["broker"].lower(), values["uri"], place_of(log))
        return tuple(newest.values())

    def brokers_named(self, from_block: int | None = None, *, to: Finality | None = None) -> dict[str, frozenset[str]]:
        """Return the datasets that ever named each broker, now or before a change, by the broker's account."""
        named: dict[str, set[str]] = {}
        for event in ("DatasetRegistered", "BrokerChanged"):
            for log in self._logs(event, self._start(from_block), to):
                named.setdefault(log["args"]["broker"].lower(), set()).add(hex_of(log["args"]["dataset"]))
        return {broker: frozenset(datasets) for broker, datasets in named.items()}

    def audit_anchors(
        self, broker: str, from_block: int | None = None, *, to: Finality | None = None
    ) -> tuple[AuditLogAnchored, ...]:
        """Return every audit anchor of a broker, oldest first."""
        return tuple(
            AuditLogAnchored(
                log["args"]["broker"].lower(), int(log["args"]["sequence"]), hex_of(log["args"]["head"]), place_of(log)
            )
            for log in self._logs("AuditLogAnchored", self._start(from_block), to, broker=broker)
        )

    def pool_endpoints(
        self, from_block: int | None = None, *, pool: str | None = None, to: Finality | None = None
    ) -> tuple[PoolEndpoint, ...]:
        """Return where each pool says that it answers now."""
        newest: dict[str, PoolEndpoint] = {}
        for log in self._logs("PoolRegistered", self._start(from_block), to, pool=pool):
            account = log["args"]["pool"].lower()
            newest[account] = PoolEndpoint(account, log["args"]["uri"], place_of(log))
        return tuple(newest.values())

    def release_events(
        self, from_block: int | None = None, *, to: Finality | None = None
    ) -> tuple[ReleaseRegistered, ...]:
        """Return the app releases ever registered, oldest first."""
        return tuple(
            ReleaseRegistered(
                hex_of(log["args"]["release"]), log["args"]["author"].lower(), log["args"]["uri"], place_of(log)
            )
            for log in self._logs("ReleaseRegistered", self._start(from_block), to)
        )

    def _start(self, from_block: int | None) -> int:
        return self.deployment.block if from_block is None else from_block
