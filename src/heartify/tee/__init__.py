"""Launchers on the host: they start a measured enclave and quote for it."""
