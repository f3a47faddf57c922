"""How an enclave gets evidence of itself: from its TEE, or in a simulation from the host that plays it."""
