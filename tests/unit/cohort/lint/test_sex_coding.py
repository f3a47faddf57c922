from __future__ import annotations

from typing import Any

import numpy as np
import pytest

LABELS = [
    (("1", "women"), ("2", "men")),
    (("F", "F"), ("M", "M")),
    (("w", "weiblich"), ("m", "männlich")),
    (("0", "Female (at birth)"), ("1", "Male (at birth)")),
    (("8532", "label"), ("8507", "label 2")),
]


@pytest.fixture
def patients(random: Any) -> dict[str, np.ndarray]:
    is_male = random.random(400) < 0.5
    return {
        "sex": is_male.astype(int),
        "height": np.where(is_male, random.normal(176, 7, 400), random.normal(163, 6.5, 400)),
        "hdl": np.where(is_male, random.normal(46, 11, 400), random.normal(57, 13, 400)),
        "weight": np.where(is_male, random.normal(84, 14, 400), random.normal(72, 14, 400)),
    }


@pytest.mark.parametrize("labels", LABELS)
def test_exchanged_labels_are_found_under_every_spelling(
    labels: Any, findings: Any, column: Any, patients: Any
) -> None:
    sex, height = column("sex", *labels), column("height", unit="cm", loinc="8302-2")

    suspicions = findings((sex, 1 - patients["sex"]), (height, patients["height"]))

    assert [finding.name for finding in suspicions] == ["sex-coding-flipped:sex"]
    assert "body height" in suspicions[0].message
    assert findings((sex, patients["sex"]), (height, patients["height"])) == []


def test_a_boolean_says_by_its_name_what_it_means(found: Any, column: Any, patients: Any) -> None:
    height = (column("height", unit="cm"), patients["height"])
    is_male = patients["sex"].astype(bool)

    for name, wrong in (("male", ~is_male), ("is_female", is_male)):
        flag = column(name, datatype="boolean")
        assert found((flag, wrong), height) == [f"sex-coding-flipped:{name}"]
        assert found((flag, ~wrong), height) == []


def test_hdl_is_higher_in_women(found: Any, column: Any, patients: Any) -> None:
    sex, hdl = column("sex", *LABELS[0]), column("hdl", unit="mg/dL", loinc="2085-9")

    assert found((sex, 1 - patients["sex"]), (hdl, patients["hdl"])) == ["sex-coding-flipped:sex"]
    assert found((sex, patients["sex"]), (hdl, patients["hdl"])) == []


def test_height_acquits_what_weight_accuses(found: Any, column: Any, patients: Any) -> None:
    sex = (column("sex", *LABELS[0]), patients["sex"])
    light_men = (column("weight", unit="kg"), 150 - patients["weight"])

    assert found(sex, light_men) == ["sex-coding-flipped:sex"]
    assert found(sex, light_men, (column("height", unit="cm"), patients["height"])) == []


def test_few_patients_small_differences_and_silent_labels_accuse_nobody(
    found: Any, column: Any, patients: Any, random: Any
) -> None:
    sex, height = column("sex", *LABELS[0]), column("height", unit="cm")
    silent = column("sex", ("0", "level 0"), ("1", "level 1"))
    wrong = 1 - patients["sex"]
    slightly = random.normal(170, 9, 40_000)
    many = np.arange(40_000) % 2

    codes = column("sex", datatype="integer")

    assert found((codes, 1 + wrong), (height, patients["height"])) == []
    assert found((sex, wrong[:50]), (height, patients["height"][:50])) == []
    assert found((silent, wrong), (height, patients["height"])) == []
    assert found((sex, many), (height, slightly - 0.9 * many)) == []
    assert found((sex, wrong), (height, np.full(400, 170.0))) == ["constant:height"]
    assert found((sex, wrong), (column("birth_weight", unit="g"), patients["height"])) == []


def test_typing_errors_do_not_hide_the_difference(found: Any, column: Any, patients: Any) -> None:
    height = patients["height"].copy()
    height[:3] = 99_000

    names = found((column("sex", *LABELS[0]), 1 - patients["sex"]), (column("h", unit="cm", loinc="8302-2"), height))

    assert "sex-coding-flipped:sex" in names
