"""A free rehearsal of a study on synthetic twins: the enclave's whole program, keys and sealing included, no money."""
