"""The simulated TEE: a sandboxed process of measured files, and a quoting service that stands where hardware stands."""
