"""One run, from the job frame to the signed ending.

    job → documents checked against the deal id → fresh keys → column keys from every broker → columns read and
    decrypted → study → sealed result → signed settlement

Only three kinds of thing ever leave: requests for what the host fetches, the names of the steps, and the ending.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heartify.cohort.encrypted.reader import read_columns
from heartify.enclave.cases import HospitalCases, Levels, build_cases, category_levels
from heartify.enclave.channel import Channel
from heartify.enclave.enclave_keys import EnclaveKeys
from heartify.enclave.failure import StudyFailedError, StudyWithheldError
from heartify.enclave.job import Hospital, Job, JobDocuments, JobIdentity, check_job, identify
from heartify.enclave.keys import ReleasedKeys, fetch_all_keys
from heartify.enclave.quoting.quoter import Quoter
from heartify.enclave.run_clock import RunClock, code_for_lack_of_memory
from heartify.enclave.settle import Ending, deliver, fail, withhold
from heartify.enclave.size_limits import check_size
from heartify.enclave.study import run_study
from heartify.errors import HeartifyError, IntegrityError
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.result import encode_result, result_info
from heartify.protocol.sealing import seal
from heartify.protocol.size_class import size_class


def run_job(channel: Channel, quoter: Quoter) -> None:
    """Run one job and send its ending; evidence comes from `quoter`. Every failure becomes a code of the closed list.

    Raises:
        StudyFailedError: the deal itself can't be identified, or the host is gone, so there is nothing to sign.
    """
    documents = _parse_documents(channel)
    identity = identify(documents)
    keys = EnclaveKeys.generate()
    try:
        ending = _Run(channel, quoter, identity, keys).to_ending(documents)
    finally:
        keys.wipe()
    channel.tell(
        "done",
        ending.sealed_result,
        settlement=ending.settlement.to_json(),
        signature=ending.signature,
        enclave=keys.address,
        encryption_public_key=keys.encryption_public_key,
    )


class _Run:
    """The state of one run that an ending depends on: who gave keys so far."""

    def __init__(self, channel: Channel, quoter: Quoter, identity: JobIdentity, keys: EnclaveKeys) -> None:
        self._channel = channel
        self._quoter = quoter
        self._identity = identity
        self._keys = keys
        self._without_keys = frozenset(range(len(identity.deal.grants)))

    def to_ending(self, documents: JobDocuments) -> Ending:
        """Run the study within its limits and return its signed ending, whatever it is."""
        try:
            return self._deliver_in_time(documents)
        except StudyWithheldError as exc:
            return withhold(self._identity, self._keys, exc.code, self._without_keys)
        except StudyFailedError as exc:
            code = exc.code
        except MemoryError:
            # Nothing is done here: the arrays live as long as this exception, and signing needs memory too.
            code = code_for_lack_of_memory(size_class(self._identity.deal.sizeClass))
        except Exception:  # noqa: BLE001 - the last line: no exception's text may ever leave the enclave
            code = FailureCode.INTERNAL
        return fail(self._identity, self._keys, code, self._without_keys)

    def _deliver_in_time(self, documents: JobDocuments) -> Ending:
        clock = RunClock(size_class(self._identity.deal.sizeClass))
        clock.start()
        try:
            return self._deliver(documents)
        finally:
            clock.stop()

    def _deliver(self, documents: JobDocuments) -> Ending:
        # Documents first: a plan that can't be run must not use up a release of any hospital's keys.
        self._channel.tell("step", name="checking the documents")
        job = check_job(documents, self._identity)
        check_size(job)
        self._channel.tell("step", name="asking the hospitals' brokers for keys")
        released = fetch_all_keys(self._channel, self._quoter, job, self._keys)
        try:
            self._keys.forget_sealing()
            self._without_keys -= {item.hospital.index for item in released}
            if len(released) < job.deal.minGrants:
                raise StudyFailedError(FailureCode.KEYS_UNAVAILABLE)
            self._channel.tell("step", name="reading and decrypting the columns")
            levels = category_levels(job.plan, [hospital.dictionary for hospital in job.hospitals])
            cases = [self._read(job, item, levels) for item in released]
        finally:
            for item in released:
                item.keyring.wipe()
        if sum(case.rows for case in cases) > size_class(job.deal.sizeClass).max_rows:
            raise StudyFailedError(FailureCode.SIZE_LIMIT_EXCEEDED)
        self._channel.tell("step", name="fitting and checking the disclosure rules")
        study = run_study(job, cases, levels)
        self._channel.tell("step", name="sealing the result")
        sealed = seal(encode_result(study.result), job.result_key, result_info(job.deal_id))
        return deliver(self._identity, self._keys, sealed, self._without_keys | study.left_out)

    def _read(self, job: Job, released: ReleasedKeys, levels: Levels) -> HospitalCases:
        hospital = released.hospital
        fetch = self._fetcher(hospital)
        keys = released.keyring.views()
        try:
            columns = read_columns(hospital.manifest, hospital.dictionary, job.plan.columns(), keys, fetch)
        except HeartifyError as exc:
            raise StudyFailedError(FailureCode.INPUT_DAMAGED) from exc
        return build_cases(
            job.plan,
            hospital.dictionary,
            columns,
            levels,
            index=hospital.index,
            name=hospital.name,
            version=hospital.grant.datasetVersion,
        )

    def _fetcher(self, hospital: Hospital) -> Callable[[str], bytes]:
        sizes = {entry.object_name: entry.size for entry in hospital.manifest.columns}

        def fetch(file: str) -> bytes:
            reply = self._channel.call("file", body_bytes=sizes[file], grant=hospital.index, file=file)
            if reply is None:
                raise IntegrityError("file-missing: the host does not have a file of the version")
            return reply[1]

        return fetch


def _parse_documents(channel: Channel) -> JobDocuments:
    header = channel.receive_job()
    try:
        return msgspec.convert({key: value for key, value in header.items() if key != "op"}, JobDocuments)
    except msgspec.ValidationError as exc:
        raise StudyFailedError(FailureCode.HOST_PROTOCOL) from exc
