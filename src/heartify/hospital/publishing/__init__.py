"""Publishing a cohort as a dataset version: survey, decide, encrypt, store, register; a killed one is continued."""
