"""Approval of an app release: the hospital measures the enclave itself and compares.

The measurement that a release states is a claim of its author. A hospital that has the same code installed can compute
it; where it can't (another platform, another TEE), the steward must name the measurement that he was given by someone
whom he trusts.
"""

from __future__ import annotations

from collections.abc import Callable

from heartify.broker.store import BrokerStore
from heartify.errors import PolicyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex


def approve_release(
    store: BrokerStore, release: AppRelease, *, measure: Callable[[], bytes], confirmed_measurement: str | None
) -> None:
    """Approve a release whose every measurement is either computed here or confirmed by name.

    Raises:
        PolicyError: a measurement is neither.
    """
    stated = {item for measurements in release.measurements.values() for item in measurements}
    known = {confirmed_measurement} if confirmed_measurement else {to_hex(measure())}
    if not stated or not stated <= known:
        raise PolicyError(
            f"the app release {release.release_id()} states a measurement that this machine does not compute",
            hint="install the same version of heartify, or confirm with --approve-measurement what an auditor gave you",
        )
    store.approvals.approve(release)
