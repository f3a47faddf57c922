"""The last steps: manifest into the store, key to the broker, version to the registry; each may be done again.

In this order, so that a kill leaves at most an encrypted version that nobody was told of: what the market learns of can
be read, and its key is held. A second call finds what is done and does the rest.
"""

from __future__ import annotations

import msgspec

from heartify.cohort.storage.objects import publish_version
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import load_manifest
from heartify.errors import IntegrityError, ServiceError, UsageError
from heartify.hospital.publishing.journal import Journal, JournalFolder
from heartify.hospital.publishing.ports import Ports
from heartify.party.home import store_document
from heartify.protocol.canonical import encode_canonical, sha256_digest
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.manifest import DICTIONARY_FILE, DOCUMENT_NAMES, Document, Manifest, round_rows


def store_manifest(
    ports: Ports, folder: JournalFolder, journal: Journal, dictionary: DataDictionary
) -> tuple[Journal, Manifest]:
    """Put the documents and, last of all, the manifest into the store.

    Raises:
        ServiceError: the store can't be written.
    """
    documents = {
        name: (folder.documents / name).read_bytes() for name in DOCUMENT_NAMES if (folder.documents / name).exists()
    }
    manifest = Manifest(
        dataset=journal.dataset,
        previous=journal.previous,
        version_nonce=journal.version_nonce,
        dictionary_digest=dictionary.digest(),
        report_digest=journal.report.digest(),
        rows_rounded=round_rows(journal.rows),
        columns=tuple(
            part.files[number] for number in range(len(dictionary.published_columns)) for part in journal.parts
        ),
        documents=tuple(
            Document(name=name, size=len(data), digest=sha256_digest(data)) for name, data in documents.items()
        ),
    )
    stored = {**documents, DICTIONARY_FILE: encode_canonical(dictionary)}
    version = publish_version(ports.store, encode_canonical(manifest), stored)
    journal = msgspec.structs.replace(journal, version=version)
    folder.store(journal)
    return journal, manifest


def hand_over_key(ports: Ports, journal: Journal, manifest: Manifest, dictionary: DataDictionary) -> None:
    """Give the version's key to the broker, and keep the publication report."""
    version = manifest.version_id()
    store_document(ports.home.publication_report(version), journal.report)
    if version not in {held for held, _, _ in ports.broker_store.versions()}:
        wrapped = ports.vault.wrap(version, journal.master_key(ports.vault))
        ports.broker_store.add_version(version, encode_canonical(manifest), encode_canonical(dictionary), wrapped)


def check_public_copy(ports: Ports, manifest: Manifest, url: str) -> None:
    """Check that others can read the version under another address than the one it was written to.

    Raises:
        UsageError: the address is not usable, or the version isn't there.
    """
    if url == ports.settings.store_url:
        return
    try:
        load_manifest(open_store(url), manifest.version_id())
    except (ServiceError, IntegrityError) as exc:
        raise UsageError(
            f"the version can't be read under its public address: {exc.message}",
            hint="copy the store's folder there first, then give the same command again",
        ) from exc


def register(ports: Ports, manifest: Manifest, salt: bytes, url: str) -> None:
    """Tell the market of the version and where it is read, unless it knows.

    Raises:
        ChainError: the chain can't be reached or refuses; the next call tries again.
    """
    registry, version = ports.access.registry, manifest.version_id()
    if registry.owner_of_dataset(manifest.dataset, block="latest") == ZERO_ADDRESS:
        registry.register_dataset(salt, ports.settings.broker, ports.settings.broker_url)
    known = {str(event.version) for event in registry.version_events(dataset=manifest.dataset, to="latest")}
    if version not in known:
        registry.publish_version(manifest.dataset, version, url)
