"""Typed clients of the contracts, events, deployment, and the embedded node."""
