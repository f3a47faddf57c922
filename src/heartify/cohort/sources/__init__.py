"""What a hospital has, read into one row a patient: text files, Parquet, databases."""
