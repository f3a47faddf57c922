"""How a study ends inside the enclave when it is not delivered: a code of a closed list, and nothing else."""

from __future__ import annotations

from heartify.protocol.outcomes import FailureCode


class StudyFailedError(Exception):
    """The study failed; only `code` leaves the enclave."""

    def __init__(self, code: FailureCode) -> None:
        super().__init__(code.label)
        self.code = code


class StudyWithheldError(Exception):
    """The disclosure rules withheld the result; only `code` leaves the enclave."""

    def __init__(self, code: int) -> None:
        super().__init__(f"disclosure code {code}")
        self.code = code
