"""Approval of an app release: the hospital measures the enclave itself and compares.

The measurement that a release states is a claim of its author. A hospital that has the same code installed can compute
it; where it can't (another platform, another TEE), the steward must name the measurement that he was given by someone
whom he trusts.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from heartify.broker.approvals import Approvals
from heartify.errors import PolicyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex


def approve_release(
    approvals: Approvals,
    release: AppRelease,
    *,
    measure: Callable[[], AbstractSet[bytes]],
    confirmed: AbstractSet[str] = frozenset(),
    keep_former: bool = False,
) -> tuple[str, ...]:
    """Approve a release whose every measurement is either computed here or confirmed by name.

    Return the ids of the releases of the same app that it replaces. `measure` computes every measurement of the
    enclave that is installed here; it is called only when something isn't confirmed.

    Raises:
        PolicyError: a measurement is neither.
    """
    stated = {item for measurements in release.measurements.values() for item in measurements}
    unconfirmed = stated - confirmed
    computed = {to_hex(item) for item in measure()} if unconfirmed else set()
    if not stated or not unconfirmed <= computed:
        raise PolicyError(
            f"the app release {release.release_id()} states a measurement that this machine does not compute",
            hint="install the same version of heartify, or confirm by name the measurements that an auditor gave you",
        )
    return approvals.approve(release, keep_former=keep_former)
