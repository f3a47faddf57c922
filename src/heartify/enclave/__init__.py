"""The program that is measured: from encrypted columns to a sealed, disclosure-checked result."""
