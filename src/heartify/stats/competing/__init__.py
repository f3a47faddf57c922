"""Follow-up with several ways to end: survival curves, cumulative incidence, Gray's test, Fine and Gray's model.

Curves come from `EventTable`s, which add over hospitals; a regression is a sum of strata. At equal times events come
before censorings, and a row is at risk on (entry, time].
"""

from heartify.stats.competing.aalen_johansen import CumulativeIncidence, cumulative_incidence
from heartify.stats.competing.event_counts import EventTable, event_table, event_tables
from heartify.stats.competing.fine_gray import FineGrayFit, SubdistributionBaseline, fit_fine_gray
from heartify.stats.competing.follow_up import FollowUp
from heartify.stats.competing.gray import GrayTest, gray_test
from heartify.stats.competing.product_limit import KaplanMeier, kaplan_meier
from heartify.stats.competing.weighting import CensoringTies

__all__ = [
    "CensoringTies",
    "CumulativeIncidence",
    "EventTable",
    "FineGrayFit",
    "FollowUp",
    "GrayTest",
    "KaplanMeier",
    "SubdistributionBaseline",
    "cumulative_incidence",
    "event_table",
    "event_tables",
    "fit_fine_gray",
    "gray_test",
    "kaplan_meier",
]
