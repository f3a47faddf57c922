"""Run the enclave's whole program on synthetic twins, free of charge, and say how the deal would have ended.

The program is the one that a pool runs, from the job frame to the sealed and signed ending; only the stage around it is
a rehearsal. What comes out has the schema of a real result and the verdict of the disclosure rules about the twins.
The numbers mean nothing about patients.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Collection

from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.program import run_job
from heartify.enclave.quoting.host import HostQuoter
from heartify.lab.dry_run.courier import Frame, RehearsalCourier
from heartify.lab.dry_run.rehearsal import REHEARSAL_DOMAIN, Rehearsal, build_rehearsal
from heartify.lab.dry_run.twins import Cast, LeftOut, caveats_of, choose_twins
from heartify.lab.opening import check_tables
from heartify.market.catalogue import CatalogueEntry
from heartify.protocol.eip712 import from_json
from heartify.protocol.outcomes import Outcome
from heartify.protocol.plan import Plan
from heartify.protocol.receipts import Settlement
from heartify.protocol.result import StudyResult, parse_result, result_info
from heartify.protocol.signing import verify_signer


@dataclasses.dataclass(frozen=True, slots=True)
class DryRun:
    """How a rehearsal ended. `synthetic` is always true: whoever meets this document must see it.

    `verdict` is in the words of a settlement: `delivered`, `withheld: ...` or `failed: ...`; `result` is there
    when it was delivered. `caveats` say where the twins differ from the cohorts so that the verdict may too.
    """

    synthetic: bool
    plan_digest: str
    verdict: str
    hospitals: tuple[str, ...]
    versions: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    caveats: tuple[str, ...]
    result: StudyResult | None

    @property
    def delivered(self) -> bool:
        """Whether a real run on data like the twins' would have delivered a result."""
        return self.result is not None


def dry_run(
    plan: Plan,
    entries: Collection[CatalogueEntry],
    versions: Collection[str] | None = None,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> DryRun:
    """Rehearse a plan on the twins of the catalogue's fitting versions; costs nothing and leaves no trace on chain.

    Raises:
        InputError: nothing fits, or a named version doesn't or has no twin.
        EnclaveError: the enclave's program failed in a way that it has no code for.
    """
    cast = choose_twins(plan, tuple(entries), versions)
    rehearsal = build_rehearsal(plan, cast.hospitals)
    try:
        ending = _run(rehearsal, report)
    finally:
        for hospital in rehearsal.hospitals:
            hospital.store.filesystem.rm(hospital.store.root, recursive=True)
    return _to_dry_run(plan, cast, rehearsal, ending)


def _run(rehearsal: Rehearsal, report: Callable[[str], None]) -> Frame:
    host_end, enclave_end = socket.socketpair()

    def enclave() -> None:
        with enclave_end:
            try:
                channel = Channel(enclave_end)
                run_job(channel, HostQuoter(channel))
            except StudyFailedError:
                return  # nothing could be signed; the courier sees the closed channel and says so

    thread = threading.Thread(target=enclave, name="dry-run enclave", daemon=True)
    thread.start()
    with host_end:
        ending = RehearsalCourier(rehearsal, host_end, report).serve()
    thread.join()
    return ending


def _to_dry_run(plan: Plan, cast: Cast, rehearsal: Rehearsal, ending: Frame) -> DryRun:
    header, sealed = ending
    settlement = from_json(Settlement, header["settlement"])
    verify_signer(settlement.digest(REHEARSAL_DOMAIN), header["signature"], header["enclave"], "the rehearsed ending")
    result = None
    if Outcome(settlement.outcome) is Outcome.DELIVERED:
        result = parse_result(rehearsal.result_key.open(sealed, result_info(rehearsal.deal_id)))
        check_tables(result)
    return DryRun(
        synthetic=True,
        plan_digest=plan.digest(),
        verdict=settlement.reason(),
        hospitals=tuple(item.policy.hospital for item in cast.hospitals),
        versions=tuple(item.version for item in cast.hospitals),
        left_out=cast.left_out,
        caveats=tuple(caveat for item in cast.hospitals for caveat in caveats_of(item)),
        result=result,
    )
