"""The last gate refuses whatever is not exactly of the closed schema and on its grids."""

from __future__ import annotations

import copy

import pytest

from heartify.disclosure import WithheldCode, WithheldError, check_released, release_fit


@pytest.fixture
def document(exact_fit, make_facts):
    return release_fit(exact_fit, make_facts(), ["tiny"]).to_dict()


def _refusal(document):
    with pytest.raises(WithheldError) as caught:
        check_released(document)
    return caught.value.code


def test_a_released_document_passes(document):
    check_released(document)


@pytest.mark.parametrize("key", ["covariance", "residuals", "trace", "loglik", "iterations", "fitted"])
@pytest.mark.parametrize("place", [lambda d: d, lambda d: d["weights"][0], lambda d: d["hospitals"][1]])
def test_an_unknown_key_is_refused_at_every_level(document, key, place):
    place(document)[key] = 1.0

    assert _refusal(document) is WithheldCode.OUTPUT_SCHEMA


@pytest.mark.parametrize("place", [lambda d: d, lambda d: d["weights"][0], lambda d: d["hospitals"][1]])
def test_a_missing_key_is_refused_at_every_level(document, place):
    place(document).popitem()

    assert _refusal(document) is WithheldCode.OUTPUT_SCHEMA


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("weights", 0, "beta"), 0.0247001),
        (("weights", 0, "beta"), 0.025),
        (("weights", 0, "se"), 0.0126),
        (("weights", 0, "z"), 1.98),
        (("weights", 0, "p"), "0.047"),
        (("weights", 0, "p"), 0.057),
        (("weights", 0, "ci_low"), -0.00078),
        (("weights", 0, "ratio"), 1.0250000001),
        (("weights", 0, "ratio"), None),
        (("weights", 0, "sd"), 9.3849),
        (("weights", 0, "sd"), -1.0),
        (("weights", 0, "se"), 0.0),
        (("weights", 0, "beta"), float("nan")),
        (("weights", 0, "beta"), 1),
        (("weights", 0, "factor"), "a" * 201),
        (("weights", 0, "factor"), "a\nb"),
        (("weights", 0, "factor"), "sex"),
        (("weights", 0), "age"),
        (("weights",), None),
        (("intercept", "beta"), -2.7),
        (("intercept", "se"), 0.0),
        (("intercept", "hospital"), "south"),
        (("hospitals", 0, "n"), 103),
        (("hospitals", 0, "n"), 5),
        (("hospitals", 0, "n"), 110),
        (("hospitals", 0, "n"), None),
        (("hospitals", 0, "events"), 41),
        (("hospitals", 0, "events"), 5),
        (("hospitals", 0, "events"), 100),
        (("hospitals", 0, "events"), None),
        (("hospitals", 0, "events"), True),
        (("hospitals", 0, "intercept"), -2.7),
        (("hospitals", 0, "reason"), "outcomes_suppressed"),
        (("hospitals", 0, "status"), "left_out"),
        (("hospitals", 0, "name"), "south"),
        (("hospitals", 2, "n"), 15),
        (("hospitals", 2, "reason"), None),
        (("hospitals", 2, "reason"), "because there are 7"),
        (("hospitals", 1), ["south"]),
        (("n",), 200),
        (("events",), 95),
        (("events_n",), None),
        (("auc",), 0.906),
        (("auc",), 1.5),
        (("notes",), [7]),
        (("notes",), [True]),
        (("profile",), "none"),
    ],
)
def test_a_value_off_its_grid_or_type_is_refused(document, path, value):
    *parents, last = path
    target = document
    for key in parents:
        target = target[key]
    target[last] = value

    assert _refusal(document) is WithheldCode.OUTPUT_SCHEMA


def test_a_document_without_a_shown_intercept_passes(document):
    document["intercept"] = None

    check_released(document)


def test_a_document_of_too_many_weights_is_refused(document):
    first = document["weights"][0]
    document["weights"] = [{**copy.deepcopy(first), "factor": f"f{j}"} for j in range(201)]

    assert _refusal(document) is WithheldCode.OUTPUT_TOO_LARGE


def test_a_document_of_too_many_bytes_is_refused(document):
    document["notes"] = [1] * 70_000

    assert _refusal(document) is WithheldCode.OUTPUT_TOO_LARGE
