"""The tables that belong to a logistic model itself, given for every one, and the curves of either model's splines."""

from __future__ import annotations

from heartify.enclave.analyses.additive import ADDITIVE_INTERACTION
from heartify.enclave.analyses.curves import CURVES
from heartify.enclave.analyses.model_tests import MODEL_TESTS
from heartify.enclave.analyses.profiles import PROFILES
from heartify.enclave.analyses.sensitivity import SENSITIVITY

MODEL_ANALYSES = (MODEL_TESTS, PROFILES, SENSITIVITY, CURVES, ADDITIVE_INTERACTION)
