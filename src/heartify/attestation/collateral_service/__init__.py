"""Collateral of a relying party's own choosing: fetched from a service and kept, or read from a bundle.

Evidence brings collateral along, but its host chose it. What is here asks for the newest, never goes back to older, and
says how old it is. Nothing here decides whether evidence is good: the verifier does, from signatures.
No module here opens a connection: `fetching.Fetch` is a port, and HTTP is `heartify.party.collateral_http`.
"""
