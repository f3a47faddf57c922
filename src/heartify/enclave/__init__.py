"""The program that is measured: from encrypted columns to a sealed, disclosure-checked result."""

from heartify.enclave.lean_numpy import hide_unused_numpy

# Here, since every TEE's entry imports a module of this package, and scipy must not come before.
hide_unused_numpy()
