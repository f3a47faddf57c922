"""A simulated platform behind a simulated PCCS, and a fetch that counts, fails or answers otherwise as a test likes."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from heartify.attestation.collateral_service.fetching import Answer
from heartify.attestation.collateral_service.unsafe_simulated_pccs import UnsafeSimulatedPccs
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.errors import ServiceError

NOW = 1_795_000_000
BASE = "https://pccs.example"


class FakeService:
    """A `Fetch` on a simulated PCCS; `issue_at` and `number` decide what it serves now."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.platform = platform
        self.issue_at = NOW
        self.number = 18
        self.urls: list[str] = []
        self.away = False
        self.instead: dict[str, Answer] = {}
        self._pccs = UnsafeSimulatedPccs(platform.identity.fmspc, self.issued)

    def issued(self, tee: str) -> str:
        issue = SimulatedIssue(now_utc_seconds=self.issue_at, evaluation_data_number=self.number)
        return self.platform.collateral_of_issue(issue, tdx=tee == "tdx")

    def __call__(self, url: str) -> Answer:
        self.urls.append(url)
        if self.away:
            raise ServiceError("the service is away")
        parts = urlsplit(url)
        if parts.path in self.instead:
            return self.instead[parts.path]
        return self._pccs.answer(f"{parts.path}?{parts.query}")


@pytest.fixture(scope="session")
def platform():
    return SimulatedPlatform.create(NOW)


@pytest.fixture
def service(platform):
    return FakeService(platform)


@pytest.fixture
def quote(platform):
    return platform.quote(bytes(range(32)), bytes(64))
