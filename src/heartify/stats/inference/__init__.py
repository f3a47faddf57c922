"""Inference beyond Wald's z for a pooled logistic fit: likelihood ratios, joint tests, robust covariances, profiles."""

from heartify.stats.chi_square import ChiSquareTest, chi_square_test, log_chi_square_sf
from heartify.stats.inference.additive import AdditiveInteraction, AdditiveMeasure, additive_interaction
from heartify.stats.inference.likelihood_ratio import likelihood_ratio_spline_tests, likelihood_ratio_test
from heartify.stats.inference.profile import ProfileInterval, profile_interval
from heartify.stats.inference.robust import (
    RobustCovariance,
    cluster_covariance,
    hospital_cluster_covariance,
    sandwich_covariance,
)
from heartify.stats.inference.wald import SplineTests, wald_spline_tests, wald_test, wald_test_of

__all__ = [
    "AdditiveInteraction",
    "AdditiveMeasure",
    "ChiSquareTest",
    "ProfileInterval",
    "RobustCovariance",
    "SplineTests",
    "additive_interaction",
    "chi_square_test",
    "cluster_covariance",
    "hospital_cluster_covariance",
    "likelihood_ratio_spline_tests",
    "likelihood_ratio_test",
    "log_chi_square_sf",
    "profile_interval",
    "sandwich_covariance",
    "wald_spline_tests",
    "wald_test",
    "wald_test_of",
]
