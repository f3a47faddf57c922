"""A dataset version's entry in a catalogue: rounded statistics, CSVW dictionary, HealthDCAT-AP record, twin."""
