"""Acceptance 2: four UCI hospitals, one deal; the opened weights are R's within the disclosure grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from heartify.demo.story import DemoOutcome, tell_story
from heartify.demo.world import DemoWorld
from heartify.protocol.bundle import Receipt
from heartify.protocol.result import StudyResult


@pytest.fixture(scope="module")
def told(world: DemoWorld, tmp_path_factory: pytest.TempPathFactory) -> DemoOutcome:
    return tell_story(world, tmp_path_factory.mktemp("out"), lambda _: None)


@pytest.fixture(scope="module")
def result(told: DemoOutcome) -> StudyResult:
    assert told.opened.result is not None
    return told.opened.result


def test_weights_are_rs_within_the_disclosure_grid(result: StudyResult, truth: dict[str, Any]) -> None:
    assert [weight.factor for weight in result.weights] == ["age", "sex", "cp4", "thalach", "exang", "oldpeak"]
    for weight in result.weights:
        exact, exact_se = truth["coef"][weight.factor], truth["se"][weight.factor]
        assert abs(weight.beta - exact) <= 0.05 * weight.se * 1.0001, weight.factor
        assert weight.se == pytest.approx(exact_se, rel=0.05)


def test_auc_is_rs_to_two_decimals(result: StudyResult, truth: dict[str, Any]) -> None:
    assert result.auc == round(truth["auc"], 2)


def test_hospital_intercepts_are_rs_where_shown(result: StudyResult, truth: dict[str, Any]) -> None:
    shown = {hospital.name: hospital for hospital in result.hospitals if hospital.intercept is not None}

    assert set(shown) == {"cleveland", "hungarian", "va"}
    for name, hospital in shown.items():
        contrast = truth["coef"].get(f"hospital{name}", 0.0)
        exact = truth["coef"]["(Intercept)"] + contrast
        assert hospital.intercept_se is not None
        assert abs(hospital.intercept - exact) <= 0.05 * hospital.intercept_se * 1.0001


def test_switzerlands_eight_patients_without_disease_are_suppressed(result: StudyResult) -> None:
    switzerland = next(hospital for hospital in result.hospitals if hospital.name == "switzerland")

    assert (switzerland.n, switzerland.events, switzerland.intercept) == (115, None, None)
    assert result.events == 140 + 105 + 115
    assert result.events_n == 305 + 295 + 145


def test_every_hospital_is_paid_its_price_and_nothing_is_left_locked(told: DemoOutcome, world: DemoWorld) -> None:
    paid = {row.party: int(row.amount) for row in told.opened.settlement.payments}

    assert {name: paid[name] for name in ("cleveland", "hungarian", "switzerland", "va")} == {
        "cleveland": 200_000_000,
        "hungarian": 225_000_000,
        "switzerland": 250_000_000,
        "va": 275_000_000,
    }
    assert (paid["app author"], paid["pool"]) == (20_000_000, 40_000_000)
    assert sum(paid.values()) == int(told.opened.settlement.locked)


def test_the_receipt_says_simulated_and_verifies(told: DemoOutcome, world: DemoWorld) -> None:
    receipt = told.opened.bundle.receipt

    assert receipt.simulated
    assert told.opened.verification.verified
    assert world.lab.verify(receipt).verified


def test_outputs_are_the_documents_they_claim_to_be(told: DemoOutcome, result: StudyResult) -> None:
    files = {path.name: path for path in told.files}

    assert set(files) == {"result.json", "receipt.json", "report.html", "settlement.json"}
    assert msgspec.json.decode(files["result.json"].read_bytes(), type=StudyResult) == result
    assert msgspec.json.decode(files["receipt.json"].read_bytes(), type=Receipt) == told.opened.bundle.receipt
    report = files["report.html"].read_text()
    assert "SIMULATED" in report
    assert "<svg" in report


def test_the_same_study_again_gives_the_same_numbers(world: DemoWorld, result: StudyResult, tmp_path: Path) -> None:
    again = tell_story(world, tmp_path, lambda _: None).opened.result

    assert again is not None
    assert again.weights == result.weights
    assert (again.n, again.events, again.auc) == (result.n, result.events, result.auc)
