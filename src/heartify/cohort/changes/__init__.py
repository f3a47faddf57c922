"""What changes between versions of a dataset: the ledger of keyed digests, the rule of k patients, and the opt-outs."""
