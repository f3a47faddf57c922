"""The weights as the result shows them, for tables that repeat them beside other errors.

Rounding an exact coefficient on a second grid would narrow down what the first grid hides (rule 7): so a repeated
weight starts from the shown one.
"""

from __future__ import annotations

from heartify.disclosure.rounding import round_estimate
from heartify.enclave.main_fit import MainFit


def shown_weights(fit: MainFit) -> tuple[float, ...]:
    """Return the coefficients (p) on the grid of the plan's standard errors.

    Raises:
        ValueError: one is not finite or of absurd size, which the release of the weights has refused before.
    """
    pairs = zip(fit.term_coef, fit.term_se, strict=True)
    return tuple(round_estimate(float(coef), float(se)).beta for coef, se in pairs)
