"""Sources of events, OMOP CDM 5.4 and FHIR R4, which a mapping file makes into one row for each patient."""
