"""One family of errors for everything that Heartify refuses or fails to do.

    HeartifyError                exit 1   base; never raised itself
    ├── UsageError               exit 2   the command or call is wrong
    ├── InputError               exit 3   a file the user gave is wrong (CSV, dictionary, plan)
    │   └── DocumentError        exit 3   a protocol document is malformed, unknown or not canonical
    ├── IntegrityError           exit 4   authenticated data is not what its digest, key or signature says
    ├── AttestationError         exit 5   evidence is refused
    ├── PolicyError              exit 6   a grant, plan or approval does not permit it
    ├── ChainError               exit 7   the chain refused a transaction or cannot be reached
    │   └── RevertError          exit 7   a contract reverted with a named reason
    ├── ServiceError             exit 8   a broker or pool cannot be reached or refused
    │   └── UnreachableError     exit 8   it gave no answer, or said that it can't now: trying again may help
    ├── EnclaveError             exit 9   the enclave failed, with a code of the closed list
    ├── DisclosureError          exit 10  the disclosure rules withheld the output
    └── KeystoreError            exit 11  a keystore or password is wrong

A message says what failed, what was expected and what came; `hint` says what to do next. Neither ever holds a secret,
a key or a patient's value.
"""

from __future__ import annotations


class HeartifyError(Exception):
    """Base of the family: a message for people, a hint, and a fixed exit code per class."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def diagnostics(self) -> dict[str, str | int | None]:
        """Return what `--json` prints for this error."""
        return {"error": type(self).__name__, "message": self.message, "hint": self.hint, "exit_code": self.exit_code}


class UsageError(HeartifyError):
    """The command or the call is wrong."""

    exit_code = 2


class InputError(HeartifyError):
    """A file that the user gave is wrong."""

    exit_code = 3


class DocumentError(InputError):
    """A protocol document is malformed, has unknown fields, or is not canonical."""


class IntegrityError(HeartifyError):
    """Data are not what their digest, key or signature says."""

    exit_code = 4


class AttestationError(HeartifyError):
    """Evidence is refused."""

    exit_code = 5


class PolicyError(HeartifyError):
    """A grant, plan or approval does not permit what is asked."""

    exit_code = 6


class ChainError(HeartifyError):
    """The chain refused a transaction or cannot be reached."""

    exit_code = 7


class RevertError(ChainError):
    """A contract reverted; `reason` is its named reason, such as `market: expired`."""

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"the contract refused: {reason}", hint=hint)
        self.reason = reason


class ServiceError(HeartifyError):
    """A broker or pool service cannot be reached, or refused."""

    exit_code = 8


class UnreachableError(ServiceError):
    """A service gave no answer, or asked to come back later; the same call may succeed in a moment."""


class EnclaveError(HeartifyError):
    """The enclave failed; the message starts with a code of the closed list."""

    exit_code = 9


class DisclosureError(HeartifyError):
    """The disclosure rules withheld the output."""

    exit_code = 10


class KeystoreError(HeartifyError):
    """A keystore or its password is wrong."""

    exit_code = 11
