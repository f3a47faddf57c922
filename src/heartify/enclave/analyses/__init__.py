"""The analyses that a plan can ask for, in the order in which they run and are shown."""

from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError, SkipReason
from heartify.enclave.analyses.competing_risks import COMPETING_RISKS
from heartify.enclave.analyses.describe import DESCRIBE
from heartify.enclave.analyses.heterogeneity import HETEROGENEITY
from heartify.enclave.analyses.increment import INCREMENT
from heartify.enclave.analyses.missing_data import MISSING_DATA
from heartify.enclave.analyses.of_the_model import MODEL_ANALYSES
from heartify.enclave.analyses.performance import PERFORMANCE
from heartify.enclave.analyses.screen import SCREEN
from heartify.enclave.analyses.selection import SELECTION
from heartify.enclave.analyses.survival import SURVIVAL
from heartify.enclave.analyses.weights import WEIGHTS

ANALYSES: tuple[Analysis, ...] = (
    DESCRIBE,
    *MODEL_ANALYSES,
    *SURVIVAL,
    COMPETING_RISKS,
    WEIGHTS,
    HETEROGENEITY,
    PERFORMANCE,
    INCREMENT,
    SELECTION,
    SCREEN,
    MISSING_DATA,
)

__all__ = ["ANALYSES", "Analysis", "AnalysisSkippedError", "SkipReason"]
