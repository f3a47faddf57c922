"""The outside auditor's one call: an export file, the market's deployment, a node of his own choice.

It needs no home and no key. It trusts the node and the deployment document; nothing of the hospital.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet
from pathlib import Path

from heartify.broker.audit.chain_records import ChainRecords, read_chain_records
from heartify.broker.audit.export import ExportHeader
from heartify.broker.audit.verdict import AuditCheck, AuditVerdict, audit_export
from heartify.chain.deploy import verify_deployment
from heartify.chain.deployment import Deployment
from heartify.chain.rpc import connect
from heartify.errors import InputError, UsageError


def audit_file(
    path: Path,
    deployment: Deployment | None = None,
    *,
    broker: str | None = None,
    known_restores: AbstractSet[str] = frozenset(),
) -> AuditVerdict:
    """Return the verdict on an export file; without a deployment the chain is left out.

    `broker` is the account whose log it should be; without it, it is whoever the file names, if the chain knows it.
    `known_restores` are digests of entries `restored` whose losses the auditor has heard the reason of.

    Raises:
        InputError: the file can't be read, or is no export.
        UsageError: the export is for another registry or chain than the deployment's.
        ChainError, IntegrityError: the node can't be reached, or the chain doesn't hold the deployment.
    """

    def read_chain(header: ExportHeader) -> ChainRecords:
        if deployment is None or (header.chain_id, header.registry) != (deployment.chain_id, deployment.registry):
            raise UsageError(
                f"the export is for the registry {header.registry} on chain {header.chain_id}, not the deployment's",
                hint="give the deployment document of the market that the hospital takes part in",
            )
        connection = connect(deployment.rpc_url, expected_chain_id=deployment.chain_id)
        verify_deployment(connection, deployment)
        return read_chain_records(connection, deployment, header.broker)

    try:
        with path.open("rb") as stream:
            chain = None if deployment is None else read_chain
            verdict = audit_export(stream, chain, known_restores=known_restores)
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or type(exc).__name__}") from exc
    if broker is None:
        return verdict
    is_expected = verdict.broker == broker
    reason = f"it is the log of {verdict.broker}" + ("" if is_expected else f", expected {broker}")
    return dataclasses.replace(verdict, checks=(AuditCheck("whose log", is_expected, reason), *verdict.checks))
