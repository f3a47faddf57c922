"""Reading evidence aloud: what a file is and what its fields say, in words. Nothing here verifies anything.

It is for people who look into a refusal, or at what a machine of theirs says about itself. It reads what a verifier
would refuse too, such as debug enclaves, so nothing that it returns may decide anything.
"""
