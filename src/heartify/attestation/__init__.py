"""Evidence and its verifier: one code path for hardware and simulation, told apart by the roots that a policy lists."""
