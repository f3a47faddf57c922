"""Pass 1 of publishing: one streaming look at all rows, on which the steward decides and the catalogue entry rests."""

from heartify.cohort.survey.survey import ColumnSurvey, Survey, survey_rows

__all__ = ["ColumnSurvey", "Survey", "survey_rows"]
