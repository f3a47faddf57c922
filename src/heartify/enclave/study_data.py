"""What every analysis of a study works on: the plan, the contributing hospitals' cases, the model and its main fit.

Made once; analyses read it and return exact tables. It holds patients' rows and never leaves: it has no repr.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from heartify.enclave.cases import HospitalCases, Levels
from heartify.enclave.imputation import Imputation
from heartify.enclave.main_fit import MainFit
from heartify.enclave.model import Model
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.plan import Plan
from heartify.stats.blocks import CohortBlock
from heartify.stats.survival import SurvivalBlock


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class StudyData:
    """The contributing hospitals in the deal's order.

    `blocks` are the complete cases in the model's columns; `survival` the same with follow-up, empty without one.
    `fit` is pooled over the completed cohorts where the plan asked for multiple imputation; `imputation` is then how
    that went, and blocks, `fit.logistic` and `fit.cox` are still those of the complete cases.
    """

    plan: Plan
    dictionary: DataDictionary
    levels: Levels
    cases: tuple[HospitalCases, ...]
    model: Model
    blocks: tuple[CohortBlock, ...]
    survival: tuple[SurvivalBlock, ...]
    fit: MainFit
    imputation: Imputation | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the model's columns (p)."""
        return self.model.names

    def random(self, purpose: str) -> np.random.Generator:
        """Return the generator for one purpose: a function of the plan and the dataset versions, and of nothing else.

        So an equal question gets an equal answer, and repeating it averages no rounding out (disclosure rule 7).
        """
        return study_random(self.plan, self.cases, purpose)


def study_random(plan: Plan, cases: Sequence[HospitalCases], purpose: str) -> np.random.Generator:
    """Return the generator of `StudyData.random`, for what is drawn before there is one."""
    versions = "".join(case.version for case in cases)
    seed = hashlib.sha256(f"{plan.digest()}{versions}{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(seed[:16], "big")))
