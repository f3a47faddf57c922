"""Firth's penalised logistic regression: estimates, penalised likelihood-ratio tests and profiles, FLIC and FLAC."""

from heartify.stats.firth.firth import FirthFit, LogisticFit, Method, fit_firth, fit_logistic_or_firth
from heartify.stats.firth.penalised_profile import penalised_profile_interval, penalised_ratio_test
from heartify.stats.firth.predictions import PredictionCoefficients, flac, flic

__all__ = [
    "FirthFit",
    "LogisticFit",
    "Method",
    "PredictionCoefficients",
    "fit_firth",
    "fit_logistic_or_firth",
    "flac",
    "flic",
    "penalised_profile_interval",
    "penalised_ratio_test",
]
