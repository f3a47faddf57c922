"""From a hospital's table to an encrypted dataset version, and back inside the enclave."""
