"""The analyses that a plan can ask for, in the order in which they run and are shown."""

from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError, SkipReason

ANALYSES: tuple[Analysis, ...] = ()

__all__ = ["ANALYSES", "Analysis", "AnalysisSkippedError", "SkipReason"]
