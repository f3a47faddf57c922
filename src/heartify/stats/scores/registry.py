"""The published scores by name, so that a study plan can name one and map its columns to the score's inputs.

A name holds everything that is chosen beforehand: the outcome, the horizon, the region. Each entry says what it needs
(with UCUM units), what it predicts, for whom, and where it was published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.scores.framingham import AGES as FRAMINGHAM_AGES
from heartify.stats.scores.framingham import (
    BMI_INPUTS,
    LIPID_INPUTS,
    FraminghamBmiInputs,
    FraminghamLipidInputs,
    framingham_bmi,
    framingham_lipid,
)
from heartify.stats.scores.inputs import ScoreInput
from heartify.stats.scores.prevent_equations import AGES as PREVENT_AGES
from heartify.stats.scores.prevent_equations import INPUTS as PREVENT_INPUTS
from heartify.stats.scores.prevent_equations import PreventInputs, PreventOutcome, prevent
from heartify.stats.scores.result import AgeRange, ScoreResult
from heartify.stats.scores.score2_equations import AGES as SCORE2_AGES
from heartify.stats.scores.score2_equations import AGES_OLDER as SCORE2_OP_AGES
from heartify.stats.scores.score2_equations import INPUTS as SCORE2_INPUTS
from heartify.stats.scores.score2_equations import RiskRegion, Score2Inputs, score2, score2_older

FRAMINGHAM_CITATION = "D'Agostino et al. 2008, Circulation 117:743"
SCORE2_CITATION = "SCORE2 working group 2021, Eur Heart J 42:2439"
SCORE2_OP_CITATION = "SCORE2-OP working group 2021, Eur Heart J 42:2455"
PREVENT_CITATION = "Khan et al. 2024, Circulation 149:430"


@dataclass(frozen=True, slots=True)
class Score:
    """A published score: its name, what it predicts over how many years, for which ages, its source and inputs.

    `evaluate` takes the columns by name; `compute` checks the names first.
    """

    name: str
    outcome: str
    horizon_years: int
    ages: AgeRange
    citation: str
    inputs: tuple[ScoreInput, ...]
    evaluate: Callable[[Mapping[str, FloatArray]], ScoreResult]

    def compute(self, columns: Mapping[str, FloatArray]) -> ScoreResult:
        """Return the score of columns (n,), one for each input name and no other.

        Raises:
            InvalidBlockError: a column is missing or unknown, or has values that the input cannot have.
        """
        wanted = {needed.name for needed in self.inputs}
        missing, unknown = sorted(wanted - set(columns)), sorted(set(columns) - wanted)
        if missing or unknown:
            raise InvalidBlockError(f"score {self.name}: missing inputs {missing}, unknown inputs {unknown}")
        return self.evaluate(columns)


def _evaluate(
    inputs_type: Callable[..., Any], function: Callable[..., ScoreResult], columns: Mapping[str, FloatArray]
) -> ScoreResult:
    return function(inputs_type(**columns))


def _framingham() -> list[Score]:
    outcome = "first cardiovascular event (coronary, cerebrovascular, peripheral, heart failure)"
    models = (
        ("lipid", LIPID_INPUTS, FraminghamLipidInputs, framingham_lipid),
        ("bmi", BMI_INPUTS, FraminghamBmiInputs, framingham_bmi),
    )
    return [
        Score(
            name=f"framingham_2008_{model}",
            outcome=outcome,
            horizon_years=10,
            ages=FRAMINGHAM_AGES,
            citation=FRAMINGHAM_CITATION,
            inputs=inputs,
            evaluate=partial(_evaluate, inputs_type, function),
        )
        for model, inputs, inputs_type, function in models
    ]


def _score2() -> list[Score]:
    models = (
        ("score2", score2, SCORE2_AGES, SCORE2_CITATION),
        ("score2_op", score2_older, SCORE2_OP_AGES, SCORE2_OP_CITATION),
    )
    return [
        Score(
            name=f"{model}_{region}",
            outcome="fatal or non-fatal cardiovascular event",
            horizon_years=10,
            ages=ages,
            citation=citation,
            inputs=SCORE2_INPUTS,
            evaluate=partial(_evaluate, Score2Inputs, partial(function, region=region)),
        )
        for model, function, ages, citation in models
        for region in RiskRegion
    ]


def _prevent() -> list[Score]:
    return [
        Score(
            name=f"prevent_{outcome}_{horizon}y",
            outcome=outcome.replace("_", " "),
            horizon_years=horizon,
            ages=PREVENT_AGES[horizon],
            citation=PREVENT_CITATION,
            inputs=PREVENT_INPUTS,
            evaluate=partial(_evaluate, PreventInputs, partial(prevent, outcome=outcome, horizon_years=horizon)),
        )
        for outcome in PreventOutcome
        for horizon in PREVENT_AGES
    ]


SCORES: Mapping[str, Score] = {score.name: score for score in (*_framingham(), *_score2(), *_prevent())}


def find_score(name: str) -> Score:
    """Return the score of that name.

    Raises:
        InvalidBlockError: there is none.
    """
    if name not in SCORES:
        raise InvalidBlockError(f"there is no score {name!r}; known are {', '.join(SCORES)}")
    return SCORES[name]
