"""Backups of the broker's state, made while it runs, and restores that no use counter can be rolled back by."""
