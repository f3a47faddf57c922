"""The synthetic twin: rows of nobody, drawn from a rounded model of a cohort, for rehearsals before anyone pays."""
