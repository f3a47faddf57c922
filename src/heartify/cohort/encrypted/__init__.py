"""The encrypted dataset version: column files that the hospital writes and the enclave reads."""
