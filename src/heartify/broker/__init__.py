"""The hospital's key broker: releases a dataset version's column keys to an attested enclave for a live deal."""
