"""Terms of a model: linear, restricted cubic spline, categorical, interaction; fixed once over all hospitals."""

from heartify.stats.design.categories import Categorical, CategoricalSpec
from heartify.stats.design.columns import Columns
from heartify.stats.design.contrasts import Contrasts, SplineCurve, design_contrasts, linear_contrasts, spline_curve
from heartify.stats.design.interactions import Interaction, Term
from heartify.stats.design.splines import Spline, SplineSpec, harrell_knots, spline_basis
from heartify.stats.design.terms import Design, InteractionSpec, Linear, TermSpec, fix_design

__all__ = [
    "Categorical",
    "CategoricalSpec",
    "Columns",
    "Contrasts",
    "Design",
    "Interaction",
    "InteractionSpec",
    "Linear",
    "Spline",
    "SplineCurve",
    "SplineSpec",
    "Term",
    "TermSpec",
    "design_contrasts",
    "fix_design",
    "harrell_knots",
    "linear_contrasts",
    "spline_basis",
    "spline_curve",
]
