"""The worker pool: runs work orders in attested enclaves, carries their messages, settles. Nobody trusts it."""
