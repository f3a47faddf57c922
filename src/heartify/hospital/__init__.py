"""What a hospital's data steward does: publish, grant, revoke, and run the key broker."""
