"""What each term weighs, on several scales, and how sure its place among the others is.

Partial chi2 less df, general dominance (the Shapley share of R2), the population attributable fraction, and the
bootstrap of all of them with intervals of ranks. Weights per unit and per SD of single columns are in
stats.factor_weights.
"""

from heartify.stats.importance.attributable_fraction import (
    AttributableFraction,
    Exposure,
    FractionsBootstrap,
    bootstrap_fractions,
    fraction_by_g_computation,
    fraction_from_odds_ratios,
    weighted_fractions,
)
from heartify.stats.importance.dominance import Dominance, R2Measure, logistic_dominance, r_squared
from heartify.stats.importance.partial import PartialTest, PartialTests, partial_tests, partial_tests_of_fit
from heartify.stats.importance.ranks import RankSummary, rank_largest_first, summarise_ranks
from heartify.stats.importance.refit import Refit, WeightedLogistic
from heartify.stats.importance.resampling import BootstrapDraws, BootstrapSummary, bootstrap, draw_weights, summarise
from heartify.stats.importance.shapley import ExactDominance, SampledDominance, exact_dominance, sampled_dominance
from heartify.stats.importance.terms import Term, check_terms, single_column_terms
from heartify.stats.importance.weight_bootstrap import Ranked, WeightsBootstrap, bootstrap_weights

__all__ = [
    "AttributableFraction",
    "BootstrapDraws",
    "BootstrapSummary",
    "Dominance",
    "ExactDominance",
    "Exposure",
    "FractionsBootstrap",
    "PartialTest",
    "PartialTests",
    "R2Measure",
    "RankSummary",
    "Ranked",
    "Refit",
    "SampledDominance",
    "Term",
    "WeightedLogistic",
    "WeightsBootstrap",
    "bootstrap",
    "bootstrap_fractions",
    "bootstrap_weights",
    "check_terms",
    "draw_weights",
    "exact_dominance",
    "fraction_by_g_computation",
    "fraction_from_odds_ratios",
    "logistic_dominance",
    "partial_tests",
    "partial_tests_of_fit",
    "r_squared",
    "rank_largest_first",
    "sampled_dominance",
    "single_column_terms",
    "summarise",
    "summarise_ranks",
    "weighted_fractions",
]
